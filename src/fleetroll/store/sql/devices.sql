-- device_get: by identifier
SELECT id, org, ident, name, kind, hardware_version, software, metadata, tags, owners, metric_schema, config, status,
    connected, last_seen, activated_at, created_at, updated_at, revision, extras, cohort, template, dms, identity,
    identity_due, metadata_times, token_version, spoke_at
FROM device WHERE org = :org AND ident_key = :ident_key;

-- device_by_id: by number
SELECT id, org, ident, name, kind, hardware_version, software, metadata, tags, owners, metric_schema, config, status,
    connected, last_seen, activated_at, created_at, updated_at, revision, extras, cohort, template, dms, identity,
    identity_due, metadata_times, token_version, spoke_at
FROM device WHERE org = :org AND id = :device;

-- device_activated: those activated since then, the newest first; at the same time by number, descending
SELECT id, org, ident, name, kind, hardware_version, software, metadata, tags, owners, metric_schema, config, status,
    connected, last_seen, activated_at, created_at, updated_at, revision, extras, cohort, template, dms, identity,
    identity_due, metadata_times, token_version, spoke_at
FROM device WHERE org = :org AND activated_at >= :since ORDER BY activated_at DESC, id DESC LIMIT :limit;

-- device_token: all tenants, what verifies the derived token of a device; this is how the tenant becomes known
SELECT org, token_version, status FROM device WHERE id = :device;

-- device_insert: a new device; nothing if the identifier is taken
INSERT INTO device (org, ident, ident_key, search, name, kind, hardware_version, software, metadata, tags, owners,
    metric_schema, config, status, connected, created_at, updated_at, revision, extras, cohort, template, dms,
    dms_folded, software_version)
VALUES (:org, :ident, :ident_key, :search, :name, :kind, :hardware_version, :software, :metadata, :tags, :owners,
    :metric_schema, :config, :status, false, :at, :at, 1, :extras, :cohort, :template, :dms, :dms_folded, :software_version)
ON CONFLICT (org, ident_key) DO NOTHING RETURNING id;

-- device_delete: over a known revision
DELETE FROM device WHERE org = :org AND id = :device AND revision = :known RETURNING id;

-- device_tag_insert: one tag of one device
INSERT INTO device_tag (org, tag, device, folded) VALUES (:org, :tag, :device, :folded);

-- device_tag_delete: one tag of one device
DELETE FROM device_tag WHERE org = :org AND tag = :tag AND device = :device;

-- device_owner_insert: one owner of one device
INSERT INTO device_owner (org, owner, device) VALUES (:org, :owner, :device);

-- device_owner_delete: one owner of one device
DELETE FROM device_owner WHERE org = :org AND owner = :owner AND device = :device;

-- device_ahead: the one that stands so many places ahead of a number
SELECT id FROM device WHERE org = :org AND id > :after ORDER BY id LIMIT 1 OFFSET :passed;

-- device_count_kind: how many of each, the most frequent first
SELECT kind, count(*) AS devices FROM device WHERE org = :org GROUP BY kind
    ORDER BY devices DESC, kind NULLS FIRST LIMIT :limit;

-- device_count_tag: how many of each, the most frequent first
SELECT tag, count(*) AS devices FROM device_tag WHERE org = :org GROUP BY tag ORDER BY devices DESC, tag LIMIT :limit;

-- device_tags: the words that devices have, after one
SELECT DISTINCT tag FROM device_tag WHERE org = :org AND tag > :after ORDER BY tag LIMIT :limit;

-- device_count_status: how many of each
SELECT status, CAST(sum(devices) AS BIGINT) FROM device_tally WHERE org = :org GROUP BY status;

-- device_count_cohort: how many of each
SELECT cohort, CAST(sum(devices) AS BIGINT) FROM device_tally WHERE org = :org GROUP BY cohort;

-- device_count_hardware: how many of each
SELECT hardware_version, CAST(sum(devices) AS BIGINT) FROM device_tally WHERE org = :org GROUP BY hardware_version;

-- device_count_software: how many of each
SELECT software_version, CAST(sum(devices) AS BIGINT) FROM device_tally WHERE org = :org GROUP BY software_version;

-- device_tally_add: so many more, or fewer, devices are alike in these columns
INSERT INTO device_tally (org, status, cohort, hardware_version, software_version, devices)
VALUES (:org, :status, :cohort, :hardware_version, :software_version, :devices)
ON CONFLICT (org, status, cohort, hardware_version, software_version)
DO UPDATE SET devices = device_tally.devices + excluded.devices;

-- device_tally_clear: where none are left
DELETE FROM device_tally WHERE org = :org AND status = :status AND cohort = :cohort
    AND hardware_version = :hardware_version AND software_version = :software_version AND devices = 0;

-- device_count_connected: those with a connection now
SELECT count(*) FROM device WHERE org = :org AND connected = true;

-- device_move: to another organization, over a known revision, with what it leaves behind
UPDATE device SET org = :to, cohort = :cohort, template = :template, dms = :dms, metric_schema = :metric_schema,
    updated_at = :updated_at, revision = :revision
WHERE org = :org AND id = :device AND revision = :known RETURNING id;

-- device_due: all tenants, those whose slot has another status by now, for the sweeper
SELECT id, org, ident, name, kind, hardware_version, software, metadata, tags, owners, metric_schema, config, status,
    connected, last_seen, activated_at, created_at, updated_at, revision, extras, cohort, template, dms, identity,
    identity_due, metadata_times, token_version, spoke_at
FROM device WHERE identity_due <= :at ORDER BY identity_due LIMIT :limit;

-- device_after: all tenants, in order of id, for the sweeper
SELECT id, org, ident, name, kind, hardware_version, software, metadata, tags, owners, metric_schema, config, status,
    connected, last_seen, activated_at, created_at, updated_at, revision, extras, cohort, template, dms, identity,
    identity_due, metadata_times, token_version, spoke_at
FROM device WHERE id > :after ORDER BY id LIMIT :limit;

-- device_age: a slot and status that time has changed, over a known revision
UPDATE device SET status = :status, identity = :identity, identity_due = :identity_due, updated_at = :updated_at,
    revision = :revision
WHERE org = :org AND id = :device AND revision = :known RETURNING id;
