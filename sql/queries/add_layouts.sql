-- Key: machine and hash of the list; one that another hub made meanwhile is found afterwards.
INSERT INTO layouts (machine_id, hash, series)
SELECT machine_id, hash, series::integer[] FROM unnest($1::integer[], $2::bigint[], $3::text[]) AS added (machine_id, hash, series)
ON CONFLICT (machine_id, hash) DO NOTHING
