-- certificate_get: by serial number
SELECT id, org, serial, authority, device, dms, common_name, der, not_before, not_after, created_at, revoked_at, reason
FROM certificate WHERE org = :org AND serial = :serial;

-- certificate_page: by number
SELECT id, org, serial, authority, device, dms, common_name, der, not_before, not_after, created_at, revoked_at, reason
FROM certificate WHERE org = :org AND id > :after ORDER BY id LIMIT :limit;

-- certificate_page_of_authority: those of one authority, by number
SELECT id, org, serial, authority, device, dms, common_name, der, not_before, not_after, created_at, revoked_at, reason
FROM certificate WHERE org = :org AND authority = :authority AND id > :after ORDER BY id LIMIT :limit;

-- certificate_page_of_device: those of one device, by number
SELECT id, org, serial, authority, device, dms, common_name, der, not_before, not_after, created_at, revoked_at, reason
FROM certificate WHERE org = :org AND device = :device AND id > :after ORDER BY id LIMIT :limit;

-- certificate_insert: a new certificate
INSERT INTO certificate (org, serial, authority, device, dms, common_name, der, not_before, not_after, created_at)
VALUES (:org, :serial, :authority, :device, :dms, :common_name, :der, :not_before, :not_after, :created_at) RETURNING id;

-- certificate_revoke: once, or for another reason if it is on hold; the time stays that of the hold
UPDATE certificate SET revoked_at = COALESCE(revoked_at, :at), reason = :reason
WHERE org = :org AND serial = :serial AND COALESCE(reason, :hold) = :hold AND COALESCE(reason, -1) <> :reason
RETURNING id;

-- certificate_restore: what was revoked for that reason alone
UPDATE certificate SET revoked_at = NULL, reason = NULL
WHERE org = :org AND serial = :serial AND reason = :reason RETURNING id;

-- certificate_revoked: an authority's revoked certificates that have not expired, by number
SELECT id, serial, revoked_at, reason FROM certificate
WHERE org = :org AND authority = :authority AND revoked_at IS NOT NULL AND not_after > :at AND id > :after
ORDER BY id LIMIT :limit;

-- certificate_revoked_anywhere: all tenants, what was revoked under that serial number: an authority may be trusted elsewhere
SELECT der FROM certificate WHERE serial = :serial AND revoked_at IS NOT NULL
UNION ALL SELECT der FROM revocation WHERE serial = :serial;

-- certificate_remember: what the authority has revoked
INSERT INTO revocation (org, serial, der)
SELECT org, serial, der FROM certificate WHERE org = :org AND authority = :authority AND revoked_at IS NOT NULL;

-- certificate_forget: with the authority
DELETE FROM certificate WHERE org = :org AND authority = :authority;

-- certificate_counts: how many, how many of them revoked, and how many expired unrevoked, by authority
SELECT authority, count(*), count(revoked_at), sum(CASE WHEN revoked_at IS NULL AND not_after <= :at THEN 1 ELSE 0 END)
FROM certificate WHERE org = :org GROUP BY authority;
