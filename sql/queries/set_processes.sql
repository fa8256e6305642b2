-- Key: the machine; the newest table wins.
UPDATE machines SET processes = ($3::text)::jsonb, processes_time = $2 WHERE id = $1 AND processes_time <= $2
