-- A bounded step: what is too old, or beyond the number kept.
DELETE FROM dead_letters WHERE id IN (
    SELECT id FROM dead_letters
    WHERE arrival < $1 OR id <= (SELECT coalesce(max(id), 0) FROM dead_letters) - $3
    ORDER BY id LIMIT $2
)
