-- key_identify: all tenants, by the public part of a token; this is how the tenant becomes known
SELECT k.id, k.org, k.name, k.kind, k.role, k.scopes, k.created_at, k.expires_at, k.revoked_at, k.last_used_at, k.digest,
    o.id, o.parent, o.slug, o.name, o.lineage, o.disabled, o.quotas, o.created_at, o.updated_at, o.revision,
    o.key_version, o.profile
FROM api_key AS k JOIN organization AS o ON o.id = k.org WHERE k.prefix = :prefix;

-- key_get: one key
SELECT id, org, name, kind, role, scopes, created_at, expires_at, revoked_at, last_used_at
FROM api_key WHERE org = :org AND id = :key;

-- key_page: by id
SELECT id, org, name, kind, role, scopes, created_at, expires_at, revoked_at, last_used_at
FROM api_key WHERE org = :org AND id > :after ORDER BY id LIMIT :limit;

-- key_insert: a new key
INSERT INTO api_key (org, name, kind, role, scopes, created_at, expires_at, prefix, digest)
VALUES (:org, :name, :kind, :role, :scopes, :created_at, :expires_at, :prefix, :digest) RETURNING id;

-- key_revoke: once
UPDATE api_key SET revoked_at = :at WHERE org = :org AND id = :key AND revoked_at IS NULL RETURNING id;

-- key_touch: all tenants, by id; only ever forward
UPDATE api_key SET last_used_at = :at WHERE id = :key AND (last_used_at IS NULL OR last_used_at < :at);

-- key_forget: with the organization
DELETE FROM api_key WHERE org = :org;

-- key_users: those of a role that the broker knows
SELECT prefix, created_at, revoked_at FROM api_key WHERE org = :org AND role = :role AND kind = :kind ORDER BY id;

-- key_groups_of_users: all tenants, to tell the broker
SELECT org, role, scopes FROM api_key WHERE kind = :kind;

-- key_valid_groups: of those that the broker lets in
SELECT org, role, scopes FROM api_key
WHERE kind = :kind AND org = :org AND revoked_at IS NULL AND COALESCE(expires_at > :at, TRUE);
