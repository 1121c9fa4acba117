-- tag_get: by name
SELECT id, org, name, created_at, updated_at, revision FROM tag WHERE org = :org AND name = :name;

-- tag_page: by name
SELECT id, org, name, created_at, updated_at, revision FROM tag
WHERE org = :org AND name > :after ORDER BY name LIMIT :limit OFFSET :skip;

-- tag_insert: a new tag; nothing if there is one of this name
INSERT INTO tag (org, name, created_at, updated_at, revision) VALUES (:org, :name, :created_at, :updated_at, :revision)
ON CONFLICT (org, name) DO NOTHING RETURNING id;

-- tag_replace: over the revision before
UPDATE tag SET name = :name, updated_at = :updated_at, revision = :revision
WHERE org = :org AND id = :id AND revision = :revision - 1 RETURNING id;

-- tag_delete: the row
DELETE FROM tag WHERE org = :org AND id = :record RETURNING id;

-- tag_forget: with the organization
DELETE FROM tag WHERE org = :org;
