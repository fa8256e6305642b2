-- Key: the machine.
UPDATE machines SET status = ?2, last_seen = MAX(last_seen, ?3) WHERE id = ?1
