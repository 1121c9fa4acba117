-- presence_heard: a broker passed on what a device sent; its last time only moves forward, unless the clock was wrong
UPDATE device SET connected = true, last_seen = CASE WHEN last_seen BETWEEN :at AND :ahead THEN last_seen ELSE :at END,
    activated_at = coalesce(activated_at, :at)
WHERE org = :org AND id = :device;

-- presence_heard_again: the same of a device that is connected
UPDATE device SET last_seen = CASE WHEN last_seen BETWEEN :at AND :ahead THEN last_seen ELSE :at END
WHERE org = :org AND id = :device;

-- presence_spoke: a device sent something itself; its last times only move forward, with the same exception
UPDATE device SET connected = true, last_seen = CASE WHEN last_seen BETWEEN :at AND :ahead THEN last_seen ELSE :at END,
    spoke_at = CASE WHEN spoke_at BETWEEN :at AND :ahead THEN spoke_at ELSE :at END,
    activated_at = coalesce(activated_at, :at)
WHERE org = :org AND id = :device;

-- presence_spoke_again: the same of a device that is connected
UPDATE device SET last_seen = CASE WHEN last_seen BETWEEN :at AND :ahead THEN last_seen ELSE :at END,
    spoke_at = CASE WHEN spoke_at BETWEEN :at AND :ahead THEN spoke_at ELSE :at END
WHERE org = :org AND id = :device;

-- presence_seen: a device was seen elsewhere; its last time only moves forward
UPDATE device SET last_seen = CASE WHEN last_seen > :at THEN last_seen ELSE :at END,
    activated_at = coalesce(activated_at, :at)
WHERE org = :org AND id = :device;

-- presence_lost: a device is not there any more
UPDATE device SET connected = false WHERE org = :org AND id = :device;

-- presence_link: whether a device has a connection
UPDATE device SET linked = :linked WHERE org = :org AND id = :device;

-- presence_quiet: all tenants, devices connected by traffic alone, last seen within a span of time, longest quiet first
SELECT org, id, ident FROM device
WHERE connected = true AND linked = false AND last_seen >= :since AND last_seen < :until
ORDER BY last_seen LIMIT :limit;

-- connection_open: one connection of a device
INSERT INTO broker_connection (org, device, name, since) VALUES (:org, :device, :name, :since)
ON CONFLICT (org, device, name) DO NOTHING;

-- connection_close: one connection of a device
DELETE FROM broker_connection WHERE org = :org AND device = :device AND name = :name RETURNING since;

-- connection_any: since when a device has had connections without a break, which each of them has
SELECT since FROM broker_connection WHERE org = :org AND device = :device LIMIT 1;

-- connection_page: all tenants, by organization, device and name
SELECT org, device, name FROM broker_connection WHERE (org, device, name) > (:org, :device, :name)
ORDER BY org, device, name LIMIT :limit;

-- connection_leave: those of a device that leaves, with what it was known by
UPDATE broker_connection SET ident = :ident, env = :env, public_id = :public_id
WHERE org = :org AND device = :device RETURNING name;

-- connection_left: what the device of a connection was known by, if it has left
SELECT ident, env, public_id FROM broker_connection
WHERE org = :org AND device = :device AND name = :name AND ident IS NOT NULL;
