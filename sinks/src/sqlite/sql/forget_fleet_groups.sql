-- Groups of which nothing is kept any more; a group that comes back gets a new id.
DELETE FROM fleet_groups
WHERE id > ?1 AND id <= ?2 AND NOT EXISTS (SELECT 1 FROM fleet_minutes WHERE group_id = fleet_groups.id)
