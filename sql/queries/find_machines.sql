-- Ids of machines by name.
SELECT machine, id FROM machines WHERE machine = ANY ($1::text[])
