-- Windows to be made again, the oldest first: of one width, asked for up to a time, that begin before another.
SELECT machine_id, time, t FROM repairs
WHERE NOT is_done AND is_hour = $1 AND t <= $2 AND time < $3
ORDER BY time, machine_id
LIMIT $4
