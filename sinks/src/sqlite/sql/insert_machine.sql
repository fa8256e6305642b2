-- Key: the machine's name.
INSERT INTO machines (machine) VALUES (?1)
ON CONFLICT (machine) DO UPDATE SET machine = excluded.machine
RETURNING id
