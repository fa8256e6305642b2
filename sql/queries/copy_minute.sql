-- Key: series and window, that no row has yet. Where one does the whole COPY is undone and upsert_minute.sql takes its place (W-2, S-1).
COPY minute_aggregates (series_id, is_final, time, count, sum, min, max, last, last_time, revision) FROM STDIN (FORMAT binary)
