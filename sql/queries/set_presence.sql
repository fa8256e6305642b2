-- Key: the machine.
UPDATE machines SET status = $2, last_seen = greatest(last_seen, $3) WHERE id = $1
