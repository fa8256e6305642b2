-- Windows of one width that are no longer kept need no repair.
DELETE FROM repairs WHERE machine_id = ?1 AND is_hour = ?2 AND start_time < ?3
