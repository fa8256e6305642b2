-- Key: the alert's id, and the unique index of firing alerts: what is there already stays as it is (A-1, S-1).
INSERT INTO alerts
    (id, rule_name, machine, metric, labels, severity, state, cause, value, since, resolved, standing, silence, t, rule, resolution)
VALUES ($1, $2, $3, $4, ($5::text)::jsonb, $6, $7, $8, $9, $10, $11, $12, $13, $14, ($15::text)::jsonb, $16)
ON CONFLICT DO NOTHING
