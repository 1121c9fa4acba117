-- cohort_get: by slug
SELECT id, org, slug, name, created_at, updated_at, revision
FROM cohort WHERE org = :org AND slug = :name;

-- cohort_page: by slug
SELECT id, org, slug, name, created_at, updated_at, revision
FROM cohort WHERE org = :org AND slug > :after ORDER BY slug LIMIT :limit OFFSET :skip;

-- cohort_insert: a new one; nothing if the slug is taken
INSERT INTO cohort (org, slug, name, created_at, updated_at, revision)
VALUES (:org, :slug, :name, :created_at, :updated_at, :revision)
ON CONFLICT (org, slug) DO NOTHING RETURNING id;

-- cohort_replace: over the revision before
UPDATE cohort SET slug = :slug, name = :name, updated_at = :updated_at, revision = :revision
WHERE org = :org AND id = :id AND revision = :revision - 1 RETURNING id;

-- cohort_delete: the row
DELETE FROM cohort WHERE org = :org AND id = :record RETURNING id;

-- cohort_forget: with the organization
DELETE FROM cohort WHERE org = :org;
