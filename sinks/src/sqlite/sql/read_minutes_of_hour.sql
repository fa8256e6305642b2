-- A machine's minutes in [start, end), series by series, in time order.
SELECT series_id, count, sum, min, max, last, last_time FROM minute_aggregates
WHERE machine_id = ?1 AND start_time >= ?2 AND start_time < ?3
ORDER BY series_id, start_time
