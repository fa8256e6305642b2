-- Key: machine and minute. The busiest table stands, of equal ones the first, so a repeat changes nothing (S-1).
INSERT INTO process_minutes (machine_id, start_time, time, busy, data) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (machine_id, start_time) DO UPDATE SET time = excluded.time, busy = excluded.busy, data = excluded.data
WHERE excluded.busy > busy
