-- dms_get: by name
SELECT id, org, name, title, settings, metadata, extras, created_at, updated_at, revision
FROM dms WHERE org = :org AND name = :name;

-- dms_page: by name
SELECT id, org, name, title, settings, metadata, extras, created_at, updated_at, revision
FROM dms WHERE org = :org AND name > :after ORDER BY name LIMIT :limit OFFSET :skip;

-- dms_insert: a new DMS; nothing if the name is taken
INSERT INTO dms (org, name, title, settings, metadata, extras, created_at, updated_at, revision)
VALUES (:org, :name, :title, :settings, :metadata, :extras, :created_at, :updated_at, :revision)
ON CONFLICT (org, name) DO NOTHING RETURNING id;

-- dms_replace: over the revision before
UPDATE dms SET name = :name, title = :title, settings = :settings, metadata = :metadata, extras = :extras,
    updated_at = :updated_at, revision = :revision
WHERE org = :org AND id = :id AND revision = :revision - 1 RETURNING id;

-- dms_delete: the row
DELETE FROM dms WHERE org = :org AND id = :record RETURNING id;
