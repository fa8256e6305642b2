-- The table of the minute that starts at ?3, else the one nearest to ?2 among those taken in [?4, ?5].
SELECT time, data FROM process_minutes
WHERE machine_id = ?1 AND start_time > ?4 - 60000000 AND start_time <= ?5 AND (start_time = ?3 OR time BETWEEN ?4 AND ?5)
ORDER BY start_time <> ?3, abs(time - ?2)
LIMIT 1
