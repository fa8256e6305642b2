-- What a person reads: names instead of ids, one row per sample or window.

-- Each sample once: of one stored twice the first stands, events all count. Give machine, metric and time in WHERE.
CREATE VIEW raw_samples AS
SELECT DISTINCT ON (machine, metric, labels, time, twin_t, twin_part)
    machine, metric, labels, unit, time, value
FROM (
    SELECT m.machine, s.metric, s.labels, s.unit, f.time, f.values[p.position] AS value, f.t, f.part,
        CASE WHEN s.kind = 'event' THEN f.t END AS twin_t,
        CASE WHEN s.kind = 'event' THEN f.part END AS twin_part
    FROM machines m
    JOIN layouts l ON l.machine_id = m.id
    CROSS JOIN LATERAL unnest(l.series) WITH ORDINALITY AS p (series_id, position)
    JOIN series s ON s.id = p.series_id
    JOIN raw_frames f ON f.machine_id = m.id AND f.layout_id = l.id
    WHERE f.values[p.position] IS NOT NULL
) AS samples
ORDER BY machine, metric, labels, time, twin_t, twin_part, t, part;

CREATE VIEW minute AS
SELECT m.machine, s.metric, s.labels, s.unit, a.time, a.count, a.sum, a.sum / a.count AS avg, a.min, a.max, a.last, a.is_final
FROM minute_aggregates a
JOIN series s ON s.id = a.series_id
JOIN machines m ON m.id = s.machine_id;

CREATE VIEW hour AS
SELECT m.machine, s.metric, s.labels, s.unit, a.time, a.count, a.sum, a.sum / a.count AS avg, a.min, a.max, a.last, a.is_final
FROM hour_aggregates a
JOIN series s ON s.id = a.series_id
JOIN machines m ON m.id = s.machine_id;

-- The whole fleet has no tag.
CREATE VIEW fleet AS
SELECT nullif(tag_name, '') AS tag_name, nullif(tag_value, '') AS tag_value, metric, time, machines, count, sum, sum / count AS avg, min, max
FROM fleet_minutes;
