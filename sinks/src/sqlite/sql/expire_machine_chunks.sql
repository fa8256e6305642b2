-- One machine: its chunks whose newest sample is too old.
DELETE FROM raw_chunks WHERE machine_id = ?1 AND end_time < ?2
