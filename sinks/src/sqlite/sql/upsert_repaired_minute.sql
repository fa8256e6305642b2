-- Key: machine, window and series. The window is on the repair list: the graph's row stands only where it holds more than what is there,
-- since it lacks what was repaired (W-2).
INSERT INTO minute_aggregates
    (machine_id, start_time, series_id, count, sum, min, max, last, last_time, revision, is_final)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
ON CONFLICT (machine_id, start_time, series_id) DO UPDATE SET
    count = excluded.count,
    sum = excluded.sum,
    min = excluded.min,
    max = excluded.max,
    last = excluded.last,
    last_time = excluded.last_time,
    revision = MAX(revision, excluded.revision),
    is_final = MAX(is_final, excluded.is_final)
WHERE excluded.count > count
