-- What ran, minute by minute: the busiest table of each. taken: when. busy: cores that its processes use. processes: [[name, cores, resident
-- bytes], ...]. The newest table alone, which was kept until now, is in the next one that a collector sends.
DO $$ BEGIN
    ALTER TABLE machines DROP COLUMN processes, DROP COLUMN processes_time;
EXCEPTION WHEN dependent_objects_still_exist THEN
    -- Somebody's view reads them: they stay as they are, and nothing writes them any more.
    NULL;
END $$;

CREATE TABLE process_minutes (
    machine_id integer          NOT NULL,
    time       timestamptz      NOT NULL,
    taken      timestamptz      NOT NULL,
    busy       double precision NOT NULL,
    processes  jsonb            NOT NULL,
    PRIMARY KEY (machine_id, time)
) PARTITION BY RANGE (time);

CREATE TABLE process_minutes_default PARTITION OF process_minutes DEFAULT;

-- Each process of each table, for people. Give machine and time in WHERE.
CREATE VIEW processes AS
SELECT m.machine, p.time, p.taken, one ->> 0 AS name, (one ->> 1)::double precision AS cpu, (one ->> 2)::numeric AS memory
FROM process_minutes p
JOIN machines m ON m.id = p.machine_id
CROSS JOIN LATERAL jsonb_array_elements(p.processes) AS one;
