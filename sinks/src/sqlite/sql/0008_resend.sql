-- key: what a letter is known by, in every store. payload: the samples that were refused, as JSON. resent: when they were sent again.
ALTER TABLE dead_letters ADD COLUMN key TEXT;
ALTER TABLE dead_letters ADD COLUMN source TEXT NOT NULL DEFAULT 'hub';
ALTER TABLE dead_letters ADD COLUMN payload TEXT;
ALTER TABLE dead_letters ADD COLUMN resent INTEGER;
UPDATE dead_letters SET key = printf('old-%d', id);
CREATE INDEX dead_letters_by_key ON dead_letters (key);
