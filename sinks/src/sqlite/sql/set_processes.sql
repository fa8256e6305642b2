-- Key: the machine; the newest table wins.
INSERT INTO processes (machine_id, time, data) VALUES (?1, ?2, ?3)
ON CONFLICT (machine_id) DO UPDATE SET time = excluded.time, data = excluded.data
WHERE excluded.time >= time
