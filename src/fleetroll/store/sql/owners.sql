-- owner_get: by reference
SELECT id, org, ref, name, phone, address, created_at, updated_at, revision, role, status, title, nickname, time_zone, locale, twin
FROM owner WHERE org = :org AND ref = :name;

-- owner_by_id: by number
SELECT id, org, ref, name, phone, address, created_at, updated_at, revision, role, status, title, nickname, time_zone, locale, twin
FROM owner WHERE org = :org AND id = :record;

-- owner_home: the organization of a number, of one and all below it
SELECT w.org FROM owner AS w
WHERE w.id = :record AND w.org IN ({organization_ids_below});

-- owner_homes: the organizations of a reference, of one and all below it, by id
SELECT w.org FROM owner AS w
WHERE w.ref = :name AND w.org IN ({organization_ids_below})
ORDER BY w.org;

-- owner_page: by reference
SELECT id, org, ref, name, phone, address, created_at, updated_at, revision, role, status, title, nickname, time_zone, locale, twin
FROM owner WHERE org = :org AND ref > :after ORDER BY ref LIMIT :limit OFFSET :skip;

-- owner_insert: a new owner; nothing if the reference is taken
INSERT INTO owner (org, ref, name, phone, address, created_at, updated_at, revision, role, status, title, nickname, time_zone, locale,
    twin)
VALUES (:org, :ref, :name, :phone, :address, :created_at, :updated_at, :revision, :role, :status, :title, :nickname, :time_zone,
    :locale, :twin)
ON CONFLICT (org, ref) DO NOTHING RETURNING id;

-- owner_replace: over the revision before
UPDATE owner SET ref = :ref, name = :name, phone = :phone, address = :address, updated_at = :updated_at, revision = :revision,
    role = :role, status = :status, title = :title, nickname = :nickname, time_zone = :time_zone, locale = :locale,
    twin = :twin
WHERE org = :org AND id = :id AND revision = :revision - 1 RETURNING id;

-- owner_delete: the row
DELETE FROM owner WHERE org = :org AND id = :record RETURNING id;

-- owner_forget: with the organization
DELETE FROM owner WHERE org = :org;
