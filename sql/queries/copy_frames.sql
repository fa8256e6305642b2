-- Key: machine, time, t and part; exactly once comes from the cursor, which moves in the same transaction.
COPY raw_frames (machine_id, layout_id, time, t, part, values) FROM STDIN (FORMAT binary)
