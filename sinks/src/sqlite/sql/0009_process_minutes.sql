-- What ran, minute by minute: the busiest table of each. busy: cores that its processes use. data: [[name, cores, resident bytes], ...].
-- The newest table alone, which was kept until now, is in the next one that a collector sends.
DROP TABLE processes;

CREATE TABLE process_minutes (
    machine_id INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    busy       REAL    NOT NULL,
    data       TEXT    NOT NULL,
    PRIMARY KEY (machine_id, start_time)
) STRICT, WITHOUT ROWID;
