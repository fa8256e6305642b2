-- is_done: the window was made again. It stays on the list, for the graph does not know what was repaired into it: whatever the graph says of
-- it later is less than the whole truth, and makes it due again.
ALTER TABLE repairs ADD COLUMN is_done INTEGER NOT NULL DEFAULT 0;
