-- A metric's minutes that start in [$4, $5), of one tag or of every value of a name, value by value, in time order.
SELECT tag_value, time, machines, count, sum, min, max FROM fleet_minutes
WHERE tag_name = $1 AND ($2::text IS NULL OR tag_value = $2) AND metric = $3 AND time >= $4 AND time < $5
ORDER BY tag_value, time
LIMIT $6
