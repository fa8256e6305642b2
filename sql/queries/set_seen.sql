-- Key: the machine.
UPDATE machines SET last_seen = greatest(last_seen, new.seen)
FROM unnest($1::integer[], $2::timestamptz[]) AS new (id, seen)
WHERE machines.id = new.id AND machines.last_seen < new.seen
