-- Key: machine and hash of metric and labels; one that another hub made meanwhile is found afterwards.
INSERT INTO series (machine_id, hash, metric, labels, unit, kind)
SELECT machine_id, hash, metric, labels::jsonb, unit, kind
FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS added (machine_id, hash, metric, labels, unit, kind)
ON CONFLICT (machine_id, hash) DO NOTHING
