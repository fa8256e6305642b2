-- One machine at a time: its old windows are one range of the primary key.
DELETE FROM minute_aggregates WHERE machine_id = ?1 AND start_time < ?2
