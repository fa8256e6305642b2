-- Key: tag, metric and minute. The higher revision wins, so a repeat changes nothing (S-1).
INSERT INTO fleet_minutes AS old (tag_name, tag_value, metric, time, machines, count, sum, min, max, revision)
SELECT tag_name, tag_value, metric, time, machines, count, sum, min, max, revision
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::integer[], $6::bigint[], $7::float8[], $8::float8[], $9::float8[],
    $10::bigint[])
    AS new (tag_name, tag_value, metric, time, machines, count, sum, min, max, revision)
ON CONFLICT (tag_name, metric, tag_value, time) DO UPDATE SET
    machines = excluded.machines,
    count = excluded.count,
    sum = excluded.sum,
    min = excluded.min,
    max = excluded.max,
    revision = excluded.revision
WHERE excluded.revision > old.revision
