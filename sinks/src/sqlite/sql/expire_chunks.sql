-- A bounded step: the oldest chunks whose newest sample is too old.
DELETE FROM raw_chunks WHERE id IN (SELECT id FROM raw_chunks WHERE end_time < ?1 ORDER BY end_time LIMIT ?2)
