-- Windows of these series that start in [$2, $3), in time order.
SELECT time, count, sum, min, max, last, is_final, series_id
FROM hour_aggregates
WHERE series_id = ANY ($1) AND time >= $2 AND time < $3
ORDER BY time, series_id
LIMIT $4
