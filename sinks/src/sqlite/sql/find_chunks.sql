-- Chunks that meet [from, to]. A chunk spans at most ?4 microseconds, which bounds how far back to look.
SELECT id FROM raw_chunks
WHERE machine_id = ?1 AND start_time < ?3 AND start_time >= ?2 - ?4 AND end_time >= ?2
