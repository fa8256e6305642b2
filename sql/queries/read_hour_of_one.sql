-- Windows of one series that start in [$2, $3), in time order: that of its key, so nothing is sorted.
SELECT time, count, sum, min, max, last, is_final
FROM hour_aggregates
WHERE series_id = $1 AND time >= $2 AND time < $3
ORDER BY time
LIMIT $4
