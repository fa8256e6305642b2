-- Key: key; sent again twice, the first time stands.
UPDATE dead_letters SET resent = $2 WHERE key = $1 AND resent IS NULL
