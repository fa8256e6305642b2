-- Key: the machine.
UPDATE machines SET info = ($2::text)::jsonb, last_seen = greatest(last_seen, $3) WHERE id = $1
