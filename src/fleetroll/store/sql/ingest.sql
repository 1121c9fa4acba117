-- progress_get: how far a stream is read
SELECT place, at FROM progress WHERE org = :org AND name = :name;

-- progress_put: further
INSERT INTO progress (org, name, place, at) VALUES (:org, :name, :place, :at)
ON CONFLICT (org, name) DO UPDATE SET place = :place, at = :at;

-- progress_all: how far each stream is read
SELECT name, place, at FROM progress WHERE org = :org;

-- progress_forget: a stream that is gone
DELETE FROM progress WHERE org = :org AND name = :name;
