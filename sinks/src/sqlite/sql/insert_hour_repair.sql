-- Key: machine and hour; the newest request wins; one that was made again is due again.
INSERT INTO repairs (machine_id, is_hour, start_time, t) VALUES (?1, 1, ?2, ?3)
ON CONFLICT (machine_id, is_hour, start_time) DO UPDATE SET t = MAX(t, excluded.t), is_done = 0
