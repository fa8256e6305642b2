-- Key: group and minute. The higher revision wins, so a repeat changes nothing (S-1).
INSERT INTO fleet_minutes (group_id, start_time, machines, count, sum, min, max, revision)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (group_id, start_time) DO UPDATE SET
    machines = excluded.machines,
    count = excluded.count,
    sum = excluded.sum,
    min = excluded.min,
    max = excluded.max,
    revision = excluded.revision
WHERE excluded.revision > revision
