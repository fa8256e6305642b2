-- The tiers on TimescaleDB (2.11 or later, which updates rows of compressed chunks): hypertables.
-- Chunks: one with its index should fit into a quarter of the server's memory, because every machine writes into the newest one. For
-- 1,000 machines with 60 series an hour of frames is 0.4 GB, six hours of minutes are 2.8 GB, a week of hours is 1.3 GB.
-- Compression, columnstore and retention are policies, which follow the hub's settings at every start.

-- One row is one frame: values in the order of its layout, NULL where a series has none. t and part keep two frames of one moment apart.
CREATE TABLE raw_frames (
    machine_id integer            NOT NULL,
    layout_id  integer            NOT NULL,
    time       timestamptz        NOT NULL,
    t          bigint             NOT NULL,
    part       integer            NOT NULL,
    values     double precision[] NOT NULL,
    PRIMARY KEY (machine_id, time, t, part)
);

SELECT create_hypertable('raw_frames', 'time', chunk_time_interval => INTERVAL '1 hour', create_default_indexes => false);

-- Series before time: one series over a week is one range of the key.
CREATE TABLE minute_aggregates (
    series_id integer          NOT NULL,
    is_final  boolean          NOT NULL,
    time      timestamptz      NOT NULL,
    count     bigint           NOT NULL,
    sum       double precision NOT NULL,
    min       double precision NOT NULL,
    max       double precision NOT NULL,
    last      double precision NOT NULL,
    last_time timestamptz      NOT NULL,
    revision  bigint           NOT NULL,
    PRIMARY KEY (series_id, time)
);

SELECT create_hypertable('minute_aggregates', 'time', chunk_time_interval => INTERVAL '6 hours', create_default_indexes => false);

CREATE TABLE hour_aggregates (
    series_id integer          NOT NULL,
    is_final  boolean          NOT NULL,
    time      timestamptz      NOT NULL,
    count     bigint           NOT NULL,
    sum       double precision NOT NULL,
    min       double precision NOT NULL,
    max       double precision NOT NULL,
    last      double precision NOT NULL,
    last_time timestamptz      NOT NULL,
    revision  bigint           NOT NULL,
    PRIMARY KEY (series_id, time)
);

SELECT create_hypertable('hour_aggregates', 'time', chunk_time_interval => INTERVAL '7 days', create_default_indexes => false);

-- Both tag columns are empty for the whole fleet.
CREATE TABLE fleet_minutes (
    tag_name  text             NOT NULL,
    tag_value text             NOT NULL,
    metric    text             NOT NULL,
    time      timestamptz      NOT NULL,
    machines  integer          NOT NULL,
    count     bigint           NOT NULL,
    sum       double precision NOT NULL,
    min       double precision NOT NULL,
    max       double precision NOT NULL,
    revision  bigint           NOT NULL,
    PRIMARY KEY (tag_name, metric, tag_value, time)
);

SELECT create_hypertable('fleet_minutes', 'time', chunk_time_interval => INTERVAL '1 day', create_default_indexes => false);
