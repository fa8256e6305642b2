-- Key: the sink's name. A cursor never goes back.
INSERT INTO sink_cursor (sink, t) VALUES (?1, ?2)
ON CONFLICT (sink) DO UPDATE SET t = excluded.t WHERE excluded.t > t
