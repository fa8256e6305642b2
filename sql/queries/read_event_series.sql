-- A machine's series of which each sample counts.
SELECT s.id, s.machine_id, s.metric, s.labels::text
FROM machines m JOIN series s ON s.machine_id = m.id
WHERE m.machine = $1 AND s.kind = 'event'
