-- Alerts whose newest transition is later than a T, those of one series in their order.
SELECT id, rule, machine, metric, labels, state, value, since, resolved, t, cause, standing, silence, resolution
FROM alerts
WHERE t > ?1
ORDER BY since, id
LIMIT ?2
