-- Key: the alert's id; only while it fires, so that a resolved one keeps its last (A-5, S-1).
UPDATE alerts SET standing = $2, silence = $3 WHERE id = $1 AND state = 'firing'
