-- Key: the alert's id, and the unique index of firing alerts: one that fires already stays as it is (A-1, S-1).
INSERT INTO alerts (id, rule_name, machine, metric, labels, severity, state, value, since, resolved, t, rule, cause)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'firing', ?7, ?8, NULL, ?9, ?10, ?11)
ON CONFLICT DO NOTHING
