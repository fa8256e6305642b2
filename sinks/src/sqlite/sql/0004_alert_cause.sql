-- Why the alert fired: a value that broke the rule, or silence of its series.
ALTER TABLE alerts ADD COLUMN cause TEXT NOT NULL DEFAULT 'threshold' CHECK (cause IN ('threshold', 'no_data'));
