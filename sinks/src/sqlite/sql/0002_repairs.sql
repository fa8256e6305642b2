-- Windows whose stored rows are not the whole truth, to be made again from the tier below.
-- is_hour: the hour of what was a minute; it waits until no minute of it can change any more.
CREATE TABLE repairs (
    machine_id INTEGER NOT NULL,
    is_hour    INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    t          INTEGER NOT NULL,
    PRIMARY KEY (machine_id, is_hour, start_time)
) STRICT, WITHOUT ROWID;
