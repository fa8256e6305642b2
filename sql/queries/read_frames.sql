-- A machine's frames in [$2, $3), in time order, those of one moment in order of writing.
SELECT layout_id, time, values FROM raw_frames
WHERE machine_id = $1 AND time >= $2 AND time < $3
ORDER BY time, t, part
LIMIT $4
