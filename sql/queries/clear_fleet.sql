-- Metrics of a tag's minute that its newest revision does not have any more. A repeat finds none.
DELETE FROM fleet_minutes
USING unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[]) AS new (tag_name, tag_value, time, revision)
WHERE fleet_minutes.tag_name = new.tag_name AND fleet_minutes.tag_value = new.tag_value
    AND fleet_minutes.time = new.time AND fleet_minutes.revision < new.revision
