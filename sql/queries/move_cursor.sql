-- Key: hub, process and sink. Nothing moves when another writer holds it, or moved it.
UPDATE sink_cursor SET t = $5, updated = now()
WHERE hub = $1 AND process = $2 AND sink = $3 AND writer = $4 AND t <= $5
