-- group_get: by name
SELECT id, org, name, description, filter, criteria, parent_id, uid, created_at, updated_at, revision
FROM saved_group WHERE org = :org AND name = :name;

-- group_page: by name
SELECT id, org, name, description, filter, criteria, parent_id, uid, created_at, updated_at, revision
FROM saved_group WHERE org = :org AND name > :after ORDER BY name LIMIT :limit OFFSET :skip;

-- group_insert: a new group; nothing if the name is taken
INSERT INTO saved_group (org, name, description, filter, criteria, parent_id, uid, created_at, updated_at, revision)
VALUES (:org, :name, :description, :filter, :criteria, :parent_id, :uid, :created_at, :updated_at, :revision)
ON CONFLICT (org, name) DO NOTHING RETURNING id;

-- group_replace: over the revision before
UPDATE saved_group SET name = :name, description = :description, filter = :filter, criteria = :criteria,
    parent_id = :parent_id, uid = :uid, updated_at = :updated_at, revision = :revision
WHERE org = :org AND id = :id AND revision = :revision - 1 RETURNING id;

-- group_delete: the row
DELETE FROM saved_group WHERE org = :org AND id = :record RETURNING id;
