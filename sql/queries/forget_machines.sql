-- Machines that were last seen before every tier's retention; their rows are gone by then.
DELETE FROM machines WHERE id IN (SELECT id FROM machines WHERE last_seen > 'epoch' AND last_seen < $1 LIMIT $2) RETURNING id
