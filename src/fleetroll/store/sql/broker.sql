-- progress_get: how far something is
SELECT place FROM progress WHERE org = :org AND name = :name;

-- progress_put: further
INSERT INTO progress (org, name, place) VALUES (:org, :name, :place)
ON CONFLICT (org, name) DO UPDATE SET place = :place;
