-- Windows that are no longer kept need no repair.
DELETE FROM repairs WHERE (NOT is_hour AND time < $1) OR (is_hour AND time < $2)
