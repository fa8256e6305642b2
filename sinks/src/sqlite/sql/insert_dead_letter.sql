-- No key: exactly once comes from the cursor, which moves in the same transaction.
INSERT INTO dead_letters (machine, reason, count, arrival, detail, key, source, payload)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
