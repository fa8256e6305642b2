-- How an alert stands, and the silence that it is because of; NULL until the graph has said it.
ALTER TABLE alerts ADD COLUMN standing TEXT;
ALTER TABLE alerts ADD COLUMN silence TEXT;
