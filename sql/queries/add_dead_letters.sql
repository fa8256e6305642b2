-- No key: exactly once comes from the cursor, which moves in the same transaction.
INSERT INTO dead_letters (machine, reason, count, arrival, detail, source, payload, key, output)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[]
)
