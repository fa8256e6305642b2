-- Key: tag and metric. The update changes nothing; without it a known group's id would not come back.
INSERT INTO fleet_groups (tag_name, tag_value, metric) VALUES (?1, ?2, ?3)
ON CONFLICT (tag_name, tag_value, metric) DO UPDATE SET metric = metric
RETURNING id
