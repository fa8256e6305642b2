-- Key: the machine.
UPDATE machines SET raw_t = ?2, last_seen = MAX(last_seen, ?3) WHERE id = ?1 AND raw_t < ?2
