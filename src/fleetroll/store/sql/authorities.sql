-- authority_get: by name
SELECT id, org, name, serial, certificate, sealed_key, not_before, not_after, created_at, updated_at, revision
FROM authority WHERE org = :org AND name = :name;

-- authority_by_id: by number
SELECT id, org, name, serial, certificate, sealed_key, not_before, not_after, created_at, updated_at, revision
FROM authority WHERE org = :org AND id = :record;

-- authority_page: by name
SELECT id, org, name, serial, certificate, sealed_key, not_before, not_after, created_at, updated_at, revision
FROM authority WHERE org = :org AND name > :after ORDER BY name LIMIT :limit OFFSET :skip;

-- authority_insert: a new authority; nothing if the name is taken
INSERT INTO authority (org, name, serial, certificate, sealed_key, not_before, not_after, created_at, updated_at, revision)
VALUES (:org, :name, :serial, :certificate, :sealed_key, :not_before, :not_after, :created_at, :updated_at, :revision)
ON CONFLICT (org, name) DO NOTHING RETURNING id;

-- authority_replace: over the revision before; what it signs with stays
UPDATE authority SET name = :name, updated_at = :updated_at, revision = :revision
WHERE org = :org AND id = :id AND revision = :revision - 1 RETURNING id;

-- authority_delete: the row
DELETE FROM authority WHERE org = :org AND id = :record RETURNING id;

-- authority_edition: the latest of its revocation lists
SELECT list_number, list_at, list_content FROM authority WHERE org = :org AND id = :authority;

-- authority_publish: the revocation list after the one of that number
UPDATE authority SET list_number = :number, list_at = :at, list_content = :content
WHERE org = :org AND id = :authority AND list_number = :last RETURNING id;

-- authority_everywhere: all tenants, the certificates alone, by number, for the TLS listener
SELECT id, certificate FROM authority WHERE id > :after ORDER BY id LIMIT :limit;
