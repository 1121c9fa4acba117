-- metadata_field_get: by name
SELECT id, org, name, kind, description, required, created_at, updated_at, revision
FROM metadata_field WHERE org = :org AND name = :name;

-- metadata_field_page: by name
SELECT id, org, name, kind, description, required, created_at, updated_at, revision
FROM metadata_field WHERE org = :org AND name > :after ORDER BY name LIMIT :limit OFFSET :skip;

-- metadata_field_insert: a new definition; nothing if the name is taken
INSERT INTO metadata_field (org, name, kind, description, required, created_at, updated_at, revision)
VALUES (:org, :name, :kind, :description, :required, :created_at, :updated_at, :revision)
ON CONFLICT (org, name) DO NOTHING RETURNING id;

-- metadata_field_replace: over the revision before
UPDATE metadata_field SET name = :name, kind = :kind, description = :description, required = :required,
    updated_at = :updated_at, revision = :revision
WHERE org = :org AND id = :id AND revision = :revision - 1 RETURNING id;

-- metadata_field_delete: the row
DELETE FROM metadata_field WHERE org = :org AND id = :record RETURNING id;
