-- Key: machine, metric and labels.
INSERT INTO series (machine_id, metric, labels, unit) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (machine_id, metric, labels) DO UPDATE SET unit = excluded.unit
RETURNING id
