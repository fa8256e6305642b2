-- Key: machine, width and window. Windows that are on the repair list are due again from this time on, whether they were made again or not.
UPDATE repairs SET t = greatest(repairs.t, new.t), is_done = false
FROM unnest($1::integer[], $2::boolean[], $3::timestamptz[], $4::bigint[]) AS new (machine_id, is_hour, time, t)
WHERE repairs.machine_id = new.machine_id AND repairs.is_hour = new.is_hour AND repairs.time = new.time
RETURNING repairs.machine_id, repairs.is_hour, repairs.time
