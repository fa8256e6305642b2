-- Key: hub, process and sink. Whoever connects last holds the cursor; where it stands does not change.
INSERT INTO sink_cursor AS old (hub, process, sink, t, writer) VALUES ($1, $2, $3, 0, $4)
ON CONFLICT (hub, process, sink) DO UPDATE SET writer = excluded.writer
RETURNING t
