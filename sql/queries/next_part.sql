-- The first free part of a machine's frames of a logical time, beyond all that ordinary writes use: theirs may be refused and come later, too.
SELECT greatest(coalesce(max(part) + 1, 0), 1000000) FROM raw_frames
WHERE machine_id = $1 AND t = $2 AND time >= $3 AND time <= $4
