-- Alerts that fired in [$1, $2), of one machine or rule where given, newest first. Those of made-up machines only for who names one.
SELECT id, rule::text, machine, metric, labels::text, state, value, since, resolved, t, cause, standing, silence, resolution
FROM alerts
WHERE since >= $1 AND since < $2 AND ($3::text IS NULL OR machine = $3) AND ($4::text IS NULL OR rule_name = $4)
    AND ($3 IS NOT NULL OR machine NOT LIKE 'synthetic-%' OR machine = 'synthetic-hub')
ORDER BY since DESC, id
LIMIT $6 OFFSET $5
