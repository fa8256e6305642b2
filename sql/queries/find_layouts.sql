-- Ids of layouts by machine and hash.
SELECT machine_id, hash, id FROM layouts
JOIN unnest($1::integer[], $2::bigint[]) AS asked (machine_id, hash) USING (machine_id, hash)
