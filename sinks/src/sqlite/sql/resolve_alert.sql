-- Key: rule and series; only the one that fires (A-1, S-1), and not one that began later: the end of its forerunner may be told again.
UPDATE alerts SET state = 'resolved', value = ?5, resolved = ?6, t = ?7, resolution = ?8
WHERE rule_name = ?1 AND machine = ?2 AND metric = ?3 AND labels = ?4 AND state = 'firing' AND since <= ?9
