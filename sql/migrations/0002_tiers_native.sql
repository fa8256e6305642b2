-- The tiers on plain PostgreSQL: partitioned by time. The hub makes partitions ahead and drops them behind; what no partition is made for
-- lands in the default one.

-- One row is one frame: values in the order of its layout, NULL where a series has none. t and part keep two frames of one moment apart.
CREATE TABLE raw_frames (
    machine_id integer            NOT NULL,
    layout_id  integer            NOT NULL,
    time       timestamptz        NOT NULL,
    t          bigint             NOT NULL,
    part       integer            NOT NULL,
    values     double precision[] NOT NULL,
    PRIMARY KEY (machine_id, time, t, part)
) PARTITION BY RANGE (time);

CREATE TABLE raw_frames_default PARTITION OF raw_frames DEFAULT;

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
) PARTITION BY RANGE (time);

CREATE TABLE minute_aggregates_default PARTITION OF minute_aggregates DEFAULT;

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
) PARTITION BY RANGE (time);

CREATE TABLE hour_aggregates_default PARTITION OF hour_aggregates DEFAULT;

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
) PARTITION BY RANGE (time);

CREATE TABLE fleet_minutes_default PARTITION OF fleet_minutes DEFAULT;
