-- A machine's minutes in [$2, $3), series by series, in time order.
SELECT series_id, count, sum, min, max, last, last_time
FROM minute_aggregates JOIN series ON series.id = series_id
WHERE machine_id = $1 AND time >= $2 AND time < $3
ORDER BY series_id, time
