-- A machine's layouts.
SELECT id, series FROM layouts WHERE machine_id = $1
