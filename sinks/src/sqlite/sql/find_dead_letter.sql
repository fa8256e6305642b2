-- The one of a key.
SELECT machine, reason, count, arrival, detail, key, source, payload, resent FROM dead_letters WHERE key = ?1 LIMIT 1
