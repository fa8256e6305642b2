-- A machine's series in order, of these metrics (none given: all).
SELECT s.id, s.machine_id, s.metric, s.labels::text
FROM machines m JOIN series s ON s.machine_id = m.id
WHERE m.machine = $1 AND (cardinality($2::text[]) = 0 OR s.metric = ANY ($2))
ORDER BY s.metric, s.labels::text
