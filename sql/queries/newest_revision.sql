-- The newest batch in any minute that starts at $1 or later.
SELECT max(revision) FROM minute_aggregates WHERE time >= $1
