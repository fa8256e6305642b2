-- Key: machine and minute. The busiest table stands, of equal ones the first, so a repeat changes nothing (S-1).
INSERT INTO process_minutes AS old (machine_id, time, taken, busy, processes) VALUES ($1, $2, $3, $4, ($5::text)::jsonb)
ON CONFLICT (machine_id, time) DO UPDATE SET taken = excluded.taken, busy = excluded.busy, processes = excluded.processes
WHERE excluded.busy > old.busy
