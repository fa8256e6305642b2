-- A machine's tables of minutes that began before ?2.
DELETE FROM process_minutes WHERE machine_id = ?1 AND start_time < ?2
