-- organization_get: one organization by id
SELECT id, parent, slug, name, lineage, disabled, quotas, created_at, updated_at, revision, key_version, profile
FROM organization WHERE id = :org;

-- organization_child: a direct child by slug
SELECT id, parent, slug, name, lineage, disabled, quotas, created_at, updated_at, revision, key_version, profile
FROM organization WHERE parent = :org AND slug = :slug;

-- organization_children: direct children by slug
SELECT id, parent, slug, name, lineage, disabled, quotas, created_at, updated_at, revision, key_version, profile
FROM organization WHERE parent = :org AND slug > :after ORDER BY slug LIMIT :limit;

-- organization_children_at: direct children by id
SELECT id, parent, slug, name, lineage, disabled, quotas, created_at, updated_at, revision, key_version, profile
FROM organization WHERE parent = :org ORDER BY id LIMIT :limit OFFSET :skip;

-- organization_ids_below: its own and those of all below it, for others; CROSS JOIN has SQLite go down the tree
WITH RECURSIVE below (id) AS (
    SELECT id FROM organization WHERE id = :org
    UNION ALL SELECT c.id FROM below CROSS JOIN organization AS c WHERE c.parent = below.id
)
SELECT id FROM below;

-- organization_names_below: its own and those of all below it, by id
SELECT o.id, o.name FROM organization AS o
WHERE o.id IN ({organization_ids_below})
ORDER BY o.id;

-- organization_insert: a new organization, its lineage without itself; nothing if the slug is taken
INSERT INTO organization (parent, slug, name, lineage, disabled, quotas, created_at, updated_at, revision, profile)
VALUES (:parent, :slug, :name, :lineage, :disabled, :quotas, :created_at, :updated_at, :revision, :profile)
ON CONFLICT (parent, slug) DO NOTHING RETURNING id;

-- organization_replace: over the revision before
UPDATE organization SET name = :name, disabled = :disabled, quotas = :quotas, updated_at = :updated_at, revision = :revision,
    key_version = :key_version, profile = :profile
WHERE id = :org AND revision = :revision - 1 RETURNING id;

-- organization_delete: the row; the service has made sure that nothing hangs on it
DELETE FROM organization WHERE id = :org;
