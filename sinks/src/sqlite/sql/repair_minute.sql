-- Key: machine, window and series. What is made again from the tier below replaces what stands, whatever its version, unless it is
-- poorer: samples may be gone from below, and none is taken from a row (W-2).
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
    is_final = 1
WHERE excluded.count >= count
