-- By machine, so that each range is found by the primary key.
SELECT max(revision) FROM machines JOIN minute_aggregates ON machine_id = machines.id AND ?1 <= start_time
