-- Why an alert is over (value, rule_gone); NULL while it fires, and of one that resolved before this was kept.
ALTER TABLE alerts ADD COLUMN resolution TEXT;
