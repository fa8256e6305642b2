-- Newest first.
SELECT machine, reason, count, arrival, detail, key, source, payload, resent FROM dead_letters
WHERE (?3 IS NULL OR reason = ?3) AND (?4 = 0 OR resent IS NULL)
ORDER BY id DESC LIMIT ?2 OFFSET ?1
