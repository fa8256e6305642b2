-- Key: machine, width and window; the newest request wins; one that was made again is due again.
INSERT INTO repairs AS old (machine_id, is_hour, time, t) VALUES ($1, $2, $3, $4)
ON CONFLICT (machine_id, is_hour, time) DO UPDATE SET t = greatest(old.t, excluded.t), is_done = false
