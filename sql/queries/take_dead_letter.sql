-- Held until the transaction ends, so that two who send it again do so once.
SELECT output, count FROM dead_letters WHERE key = $1 AND resent IS NULL AND output IS NOT NULL LIMIT 1 FOR UPDATE
