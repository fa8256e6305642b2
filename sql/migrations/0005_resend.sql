-- key: what a letter is known by, in every store of its hub. output: a row that this database refused, as the program would write it again.
-- resent: when its samples, or that row, were sent again.
ALTER TABLE dead_letters ADD COLUMN key text, ADD COLUMN output bytea, ADD COLUMN resent timestamptz;
UPDATE dead_letters SET key = 'old-' || id;
CREATE INDEX dead_letters_by_key ON dead_letters (key);
