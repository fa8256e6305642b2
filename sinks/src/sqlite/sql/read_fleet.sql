-- A metric's minutes that start in [from, to), of one tag or of every value of a name, value by value, in time order.
SELECT tag_value, start_time, machines, count, sum, min, max
FROM fleet_groups JOIN fleet_minutes ON group_id = id
WHERE tag_name = ?1 AND (?2 IS NULL OR tag_value = ?2) AND metric = ?3 AND start_time >= ?4 AND start_time < ?5
ORDER BY tag_value, start_time
