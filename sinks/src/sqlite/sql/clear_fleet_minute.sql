-- Metrics of a tag's minute that its newest revision does not have any more. A repeat finds none.
DELETE FROM fleet_minutes
WHERE group_id IN (SELECT id FROM fleet_groups WHERE tag_name = ?1 AND tag_value = ?2)
    AND start_time = ?3 AND revision < ?4
