-- credential_identify: all tenants, by what the broker has verified
SELECT id, org, device, account, broker_user, public_id, created_at, kind FROM credential WHERE broker_user = :user;

-- credential_of_account: all tenants, by what the broker calls it
SELECT id, org, device, account, broker_user, public_id, created_at, kind FROM credential WHERE account = :account;

-- credential_all: all tenants, by id, to tell the broker
SELECT id, org, device, account, broker_user, public_id, created_at, kind
FROM credential WHERE id > :after ORDER BY id LIMIT :limit;

-- credential_of_device: oldest first
SELECT id, org, device, account, broker_user, public_id, created_at, kind
FROM credential WHERE org = :org AND device = :device ORDER BY id;

-- credential_of_org: whether there is one
SELECT id FROM credential WHERE org = :org LIMIT 1;

-- credential_insert: a new credential
INSERT INTO credential (org, device, account, broker_user, public_id, created_at, kind)
VALUES (:org, :device, :account, :user, :public_id, :created_at, :kind) RETURNING id;

-- credential_delete: one
DELETE FROM credential WHERE org = :org AND device = :device AND id = :credential RETURNING account;

-- credential_forget: all of a device
DELETE FROM credential WHERE org = :org AND device = :device RETURNING account;

-- account_change_insert: something to tell the broker
INSERT INTO account_change (org, account) VALUES (:org, :account);

-- account_change_insert_devices: all accounts of the devices of an organization and of all below it
INSERT INTO account_change (org, account) SELECT c.org, c.account FROM credential AS c WHERE c.org IN ({organization_ids_below});

-- account_change_applications: the roles and scopes of the keys on the broker of an organization and of all below it
SELECT k.org, k.role, k.scopes FROM api_key AS k WHERE k.kind = :kind AND k.org IN ({organization_ids_below});

-- account_changes: all tenants, oldest first, to tell the broker
SELECT id, org, account FROM account_change WHERE id > :after ORDER BY id LIMIT :limit;

-- account_changes_settle: all tenants, one thing that the broker was told
DELETE FROM account_change WHERE id = :number;
