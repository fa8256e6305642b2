-- Key: series and window. The row with the higher (revision, is_final) wins, so a repeat changes nothing (W-2, S-1).
INSERT INTO hour_aggregates AS old (series_id, is_final, time, count, sum, min, max, last, last_time, revision)
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
    revision = excluded.revision,
    is_final = excluded.is_final
WHERE (excluded.revision, excluded.is_final) > (old.revision, old.is_final)
