-- template_get: by name
SELECT id, org, name, description, board, connection, datastreams, events, metafields, last_part, created_at, updated_at,
    revision
FROM template WHERE org = :org AND name = :name;

-- template_by_id: by number
SELECT id, org, name, description, board, connection, datastreams, events, metafields, last_part, created_at, updated_at,
    revision
FROM template WHERE org = :org AND id = :record;

-- template_home: the organization of a number, of one and all below it
SELECT t.org FROM template AS t
WHERE t.id = :record AND t.org IN ({organization_ids_below});

-- template_page: by name
SELECT id, org, name, description, board, connection, datastreams, events, metafields, last_part, created_at, updated_at,
    revision
FROM template WHERE org = :org AND name > :after ORDER BY name LIMIT :limit OFFSET :skip;

-- template_insert: a new template; nothing if the name is taken
INSERT INTO template (org, name, description, board, connection, datastreams, events, metafields, last_part, created_at,
    updated_at, revision)
VALUES (:org, :name, :description, :board, :connection, :datastreams, :events, :metafields, :last_part, :created_at,
    :updated_at, :revision)
ON CONFLICT (org, name) DO NOTHING RETURNING id;

-- template_replace: over the revision before
UPDATE template SET name = :name, description = :description, board = :board, connection = :connection,
    datastreams = :datastreams, events = :events, metafields = :metafields, last_part = :last_part,
    updated_at = :updated_at, revision = :revision
WHERE org = :org AND id = :id AND revision = :revision - 1 RETURNING id;

-- template_delete: the row
DELETE FROM template WHERE org = :org AND id = :record RETURNING id;

-- template_forget: with the organization
DELETE FROM template WHERE org = :org;
