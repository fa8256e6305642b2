-- The whole schema, applied once to an empty file. Times are microseconds since the Unix epoch, UTC.

-- raw_t: every raw sample of the machine up to this logical time is in raw_chunks.
CREATE TABLE machines (
    id        INTEGER PRIMARY KEY,
    machine   TEXT    NOT NULL UNIQUE,
    info      TEXT,
    status    TEXT    NOT NULL DEFAULT 'up',
    last_seen INTEGER NOT NULL DEFAULT 0,
    raw_t     INTEGER NOT NULL DEFAULT 0
) STRICT;

-- labels: a JSON object with its names in order, so that equal labels are equal text.
CREATE TABLE series (
    id         INTEGER PRIMARY KEY,
    machine_id INTEGER NOT NULL,
    metric     TEXT    NOT NULL,
    labels     TEXT    NOT NULL,
    unit       TEXT    NOT NULL,
    UNIQUE (machine_id, metric, labels)
) STRICT;

-- data: sinks/src/sqlite/chunk. Spans of one machine may overlap: late samples make their own chunk.
CREATE TABLE raw_chunks (
    id         INTEGER PRIMARY KEY,
    machine_id INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    end_time   INTEGER NOT NULL,
    data       BLOB    NOT NULL
) STRICT;

CREATE INDEX raw_chunks_by_start ON raw_chunks (machine_id, start_time, end_time);

CREATE INDEX raw_chunks_by_end ON raw_chunks (end_time);

-- Machine and time before series: a machine's rows of one window lie on one page, so that a write touches one page per machine
-- and not one per series (60 times fewer). Reading one series passes over its neighbours, which costs less.
CREATE TABLE minute_aggregates (
    machine_id INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    series_id  INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    sum        REAL    NOT NULL,
    min        REAL    NOT NULL,
    max        REAL    NOT NULL,
    last       REAL    NOT NULL,
    last_time  INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    is_final   INTEGER NOT NULL,
    PRIMARY KEY (machine_id, start_time, series_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE hour_aggregates (
    machine_id INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    series_id  INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    sum        REAL    NOT NULL,
    min        REAL    NOT NULL,
    max        REAL    NOT NULL,
    last       REAL    NOT NULL,
    last_time  INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    is_final   INTEGER NOT NULL,
    PRIMARY KEY (machine_id, start_time, series_id)
) STRICT, WITHOUT ROWID;

-- rule: the rule as it was when it fired, as JSON.
CREATE TABLE alerts (
    id        TEXT    PRIMARY KEY,
    rule_name TEXT    NOT NULL,
    machine   TEXT    NOT NULL,
    metric    TEXT    NOT NULL,
    labels    TEXT    NOT NULL,
    severity  TEXT    NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('firing', 'resolved')),
    value     REAL    NOT NULL,
    since     INTEGER NOT NULL,
    resolved  INTEGER,
    t         INTEGER NOT NULL,
    rule      TEXT    NOT NULL
) STRICT;

-- A-1: at most one alert fires per rule and series.
CREATE UNIQUE INDEX alerts_firing ON alerts (rule_name, machine, metric, labels) WHERE state = 'firing';

CREATE INDEX alerts_by_since ON alerts (since);

CREATE TABLE dead_letters (
    id      INTEGER PRIMARY KEY,
    machine TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    count   INTEGER NOT NULL,
    arrival INTEGER NOT NULL,
    detail  TEXT    NOT NULL
) STRICT;

CREATE INDEX dead_letters_by_arrival ON dead_letters (arrival);

CREATE TABLE processes (
    machine_id INTEGER PRIMARY KEY,
    time       INTEGER NOT NULL,
    data       TEXT    NOT NULL
) STRICT;

-- Everything of a logical time up to t is in the tables; written in the transaction that writes them (S-2).
CREATE TABLE sink_cursor (
    sink TEXT    PRIMARY KEY,
    t    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
