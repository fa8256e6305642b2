-- A bounded step: machines that were last seen before every tier's retention, made-up ones before their own; their rows are gone by then.
DELETE FROM machines WHERE id IN (
    SELECT id FROM machines
    WHERE (last_seen < ?1 OR (machine GLOB 'synthetic-*' AND last_seen < ?3)) AND raw_t > 0 LIMIT ?2
)
RETURNING id
