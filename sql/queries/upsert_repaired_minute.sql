-- Key: series and window. The window is on the repair list: the graph's row stands only where it holds more than what is there, since it
-- lacks what was repaired (W-2).
INSERT INTO minute_aggregates AS old (series_id, is_final, time, count, sum, min, max, last, last_time, revision)
SELECT series_id, is_final, time, count, sum, min, max, last, last_time, revision
FROM unnest($1::integer[], $2::boolean[], $3::timestamptz[], $4::bigint[], $5::float8[], $6::float8[], $7::float8[], $8::float8[],
    $9::timestamptz[], $10::bigint[])
    AS new (series_id, is_final, time, count, sum, min, max, last, last_time, revision)
ON CONFLICT (series_id, time) DO UPDATE SET
    count = excluded.count,
    sum = excluded.sum,
    min = excluded.min,
    max = excluded.max,
    last = excluded.last,
    last_time = excluded.last_time,
    revision = greatest(old.revision, excluded.revision),
    is_final = old.is_final OR excluded.is_final
WHERE excluded.count > old.count
