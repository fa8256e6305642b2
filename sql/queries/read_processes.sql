-- The table of the minute that starts at $3, else the one nearest to $2 among those taken in [$4, $5].
SELECT p.taken, p.processes::text FROM machines m JOIN process_minutes p ON p.machine_id = m.id
WHERE m.machine = $1 AND p.time > $4::timestamptz - INTERVAL '1 minute' AND p.time <= $5::timestamptz
    AND (p.time = $3 OR p.taken BETWEEN $4 AND $5)
ORDER BY p.time <> $3, abs(extract(epoch FROM p.taken - $2::timestamptz))
LIMIT 1
