-- Why an alert is over (value, rule_gone); NULL while it fires.
ALTER TABLE alerts ADD COLUMN resolution text;
