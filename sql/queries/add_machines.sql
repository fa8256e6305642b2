-- Key: the machine's name; one that another hub made meanwhile is found afterwards.
INSERT INTO machines (machine) SELECT unnest($1::text[]) ON CONFLICT (machine) DO NOTHING
