-- software_version_get: one version of one type
SELECT id, org, type, version, created_at FROM software_version WHERE org = :org AND type = :type AND version = :version;

-- software_version_page: by type and version
SELECT id, org, type, version, created_at FROM software_version
WHERE org = :org AND (type, version) > (:type, :version) ORDER BY type, version LIMIT :limit;

-- software_version_insert: a new one; nothing if it is known
INSERT INTO software_version (org, type, version, created_at) VALUES (:org, :type, :version, :created_at)
ON CONFLICT (org, type, version) DO NOTHING RETURNING id;

-- software_version_delete: the row
DELETE FROM software_version WHERE org = :org AND id = :record RETURNING id;

-- software_version_forget: with the organization
DELETE FROM software_version WHERE org = :org;
