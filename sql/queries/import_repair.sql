-- Key: machine, width and window: what the graph has asked for by itself stands.
INSERT INTO repairs (machine_id, is_hour, time, t, is_done) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (machine_id, is_hour, time) DO NOTHING
