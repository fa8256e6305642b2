-- What ran, minute by minute: the busiest table of each. taken: when. busy: cores that its processes use. processes: [[name, cores, resident
-- bytes], ...].
CREATE TABLE process_minutes (
    machine_id integer          NOT NULL,
    time       timestamptz      NOT NULL,
    taken      timestamptz      NOT NULL,
    busy       double precision NOT NULL,
    processes  jsonb            NOT NULL,
    PRIMARY KEY (machine_id, time)
);

SELECT create_hypertable('process_minutes', 'time', chunk_time_interval => INTERVAL '6 hours', create_default_indexes => false);
