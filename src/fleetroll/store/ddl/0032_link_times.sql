-- Since when a device has had connections: applications are told of it again when the last one has ended.

-- engine: sqlite

ALTER TABLE broker_connection ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE broker_connection SET since = coalesce((SELECT d.last_seen FROM device AS d WHERE d.id = device), 0);

-- engine: postgres

ALTER TABLE broker_connection ADD COLUMN since bigint NOT NULL DEFAULT 0;
UPDATE broker_connection SET since = coalesce((SELECT d.last_seen FROM device AS d WHERE d.id = device), 0);
