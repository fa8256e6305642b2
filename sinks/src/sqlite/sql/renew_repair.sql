-- Key: machine, width and window. Where the window is on the repair list, whether it was made again or not, it is due again from this time on.
UPDATE repairs SET t = MAX(t, ?4), is_done = 0 WHERE machine_id = ?1 AND is_hour = ?2 AND start_time = ?3
