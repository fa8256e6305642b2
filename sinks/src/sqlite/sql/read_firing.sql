-- Alerts that fire, newest first.
SELECT id, rule, machine, metric, labels, state, value, since, resolved, t, cause, standing, silence, resolution
FROM alerts
WHERE state = 'firing'
ORDER BY since DESC, id
LIMIT ?1
