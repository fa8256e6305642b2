-- Minutes of the whole fleet and of the machines with a tag. A group is a tag with a metric; both texts are empty for the whole fleet.
CREATE TABLE fleet_groups (
    id        INTEGER PRIMARY KEY,
    tag_name  TEXT NOT NULL,
    tag_value TEXT NOT NULL,
    metric    TEXT NOT NULL,
    UNIQUE (tag_name, tag_value, metric)
) STRICT;

CREATE TABLE fleet_minutes (
    group_id   INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    machines   INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    sum        REAL    NOT NULL,
    min        REAL    NOT NULL,
    max        REAL    NOT NULL,
    revision   INTEGER NOT NULL,
    PRIMARY KEY (group_id, start_time)
) STRICT, WITHOUT ROWID;
