-- Key: machine and minute; the newest request wins, a repeat changes nothing.
INSERT INTO repairs (machine_id, is_hour, start_time, t) VALUES (?1, 0, ?2, ?3)
ON CONFLICT (machine_id, is_hour, start_time) DO UPDATE SET t = excluded.t WHERE excluded.t > t
