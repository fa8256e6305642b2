-- Windows to be made again, the oldest first: of one width, asked for up to a time, that begin before another.
SELECT machine_id, start_time, t FROM repairs
WHERE is_done = 0 AND is_hour = ?1 AND t <= ?2 AND start_time < ?3
ORDER BY start_time, machine_id
LIMIT ?4
