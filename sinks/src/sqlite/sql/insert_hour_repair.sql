-- Key: machine and hour; the newest request wins.
INSERT INTO repairs (machine_id, is_hour, start_time, t) VALUES (?1, 1, ?2, ?3)
ON CONFLICT (machine_id, is_hour, start_time) DO UPDATE SET t = excluded.t WHERE excluded.t > t
