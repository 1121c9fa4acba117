-- hardware_version_get: by name
SELECT id, org, name, software_type, created_at, updated_at, revision
FROM hardware_version WHERE org = :org AND name = :name;

-- hardware_version_page: by name
SELECT id, org, name, software_type, created_at, updated_at, revision
FROM hardware_version WHERE org = :org AND name > :after ORDER BY name LIMIT :limit OFFSET :skip;

-- hardware_version_insert: a new one; nothing if the name is taken
INSERT INTO hardware_version (org, name, software_type, created_at, updated_at, revision)
VALUES (:org, :name, :software_type, :created_at, :updated_at, :revision)
ON CONFLICT (org, name) DO NOTHING RETURNING id;

-- hardware_version_replace: over the revision before
UPDATE hardware_version SET name = :name, software_type = :software_type, updated_at = :updated_at, revision = :revision
WHERE org = :org AND id = :id AND revision = :revision - 1 RETURNING id;

-- hardware_version_delete: the row
DELETE FROM hardware_version WHERE org = :org AND id = :record RETURNING id;

-- hardware_version_forget: with the organization
DELETE FROM hardware_version WHERE org = :org;
