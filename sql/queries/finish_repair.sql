-- Key: machine, width and window. It stays on the list: what the graph says of it later makes it due again.
UPDATE repairs SET is_done = true WHERE machine_id = $1 AND is_hour = $2 AND time = $3
