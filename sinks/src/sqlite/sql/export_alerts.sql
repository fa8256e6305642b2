-- All of them.
SELECT id, rule, machine, metric, labels, state, value, since, resolved, t, cause, standing, silence, resolution FROM alerts
