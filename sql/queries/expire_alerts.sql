-- A bounded step. Firing alerts stay, however old.
DELETE FROM alerts WHERE id IN (
    SELECT id FROM alerts WHERE since < $1 AND state = 'resolved' AND resolved < $1 ORDER BY since LIMIT $2
)
