-- A machine's series by its id.
SELECT id, metric FROM series WHERE machine_id = $1 ORDER BY id
