-- A bounded step. Alerts of made-up machines, but for the one whose alerts are for people.
DELETE FROM alerts WHERE id IN (
    SELECT id FROM alerts
    WHERE machine GLOB 'synthetic-*' AND machine <> 'synthetic-hub' AND since < ?1 AND state = 'resolved'
    ORDER BY since LIMIT ?2
)
