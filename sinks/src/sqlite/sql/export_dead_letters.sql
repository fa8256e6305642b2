-- A page of them, the oldest first.
SELECT machine, reason, count, arrival, detail, key, source, payload, resent, id FROM dead_letters
WHERE id > ?1 ORDER BY id LIMIT ?2
