-- The newest table alone, which was kept until now, is in the next one that a collector sends; and each process of each table, for people.
DO $$ BEGIN
    ALTER TABLE machines DROP COLUMN processes, DROP COLUMN processes_time;
EXCEPTION WHEN dependent_objects_still_exist THEN
    -- Somebody's view reads them: they stay as they are, and nothing writes them any more.
    NULL;
END $$;

-- Give machine and time in WHERE.
CREATE VIEW processes AS
SELECT m.machine, p.time, p.taken, one ->> 0 AS name, (one ->> 1)::double precision AS cpu, (one ->> 2)::numeric AS memory
FROM process_minutes p
JOIN machines m ON m.id = p.machine_id
CROSS JOIN LATERAL jsonb_array_elements(p.processes) AS one;
