-- Some groups at a time: the old minutes of each are one range of the primary key.
DELETE FROM fleet_minutes
WHERE group_id IN (SELECT id FROM fleet_groups WHERE id > ?1 AND id <= ?2) AND start_time < ?3
