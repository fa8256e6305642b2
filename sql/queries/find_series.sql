-- Ids of series by machine and hash.
SELECT machine_id, hash, id FROM series
JOIN unnest($1::integer[], $2::bigint[]) AS asked (machine_id, hash) USING (machine_id, hash)
