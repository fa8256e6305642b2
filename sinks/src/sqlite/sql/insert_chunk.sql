-- No key: exactly once comes from raw_t and the raw cursor, which move in the same transaction.
INSERT INTO raw_chunks (machine_id, start_time, end_time, data) VALUES (?1, ?2, ?3, ?4)
