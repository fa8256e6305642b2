-- Key: all of it: one that the journal brought already is not added again.
INSERT INTO dead_letters (machine, reason, count, arrival, detail, source, payload, key, resent)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
WHERE NOT EXISTS (
    SELECT 1 FROM dead_letters WHERE machine = $1 AND reason = $2 AND count = $3 AND arrival = $4 AND detail = $5
)
