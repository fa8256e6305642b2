-- Newest first.
SELECT machine, reason, count, arrival, detail FROM dead_letters ORDER BY arrival DESC, id DESC LIMIT $2 OFFSET $1
