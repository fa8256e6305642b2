-- A machine's windows that start in [from, to), in time order.
SELECT series_id, start_time, count, sum, min, max, last, is_final
FROM hour_aggregates
WHERE machine_id = ?1 AND start_time >= ?2 AND start_time < ?3
ORDER BY start_time, series_id
