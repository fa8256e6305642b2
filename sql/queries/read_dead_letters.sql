-- Newest first.
SELECT machine, reason, count, arrival, detail, key, source, payload, resent, output IS NOT NULL FROM dead_letters
WHERE ($3::text IS NULL OR reason = $3) AND (NOT $4 OR resent IS NULL)
ORDER BY arrival DESC, id DESC LIMIT $2 OFFSET $1
