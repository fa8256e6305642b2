-- Every minute, and every hour, has about as many rows as any other. With the usual statistics a new partition's times are all known by
-- name, so the planner takes the newest one, which came after they were gathered, for a time without rows: the fleet's latest minute is then
-- joined row by row. With one bucket and no names it goes by the average.
ALTER TABLE minute_aggregates ALTER COLUMN time SET STATISTICS 1;
ALTER TABLE hour_aggregates ALTER COLUMN time SET STATISTICS 1;
