-- Devices that were first heard of lately.

-- engine: sqlite

CREATE INDEX device_activated ON device (org, activated_at) WHERE activated_at IS NOT NULL;

-- engine: postgres

CREATE INDEX device_activated ON device (org, activated_at, id) WHERE activated_at IS NOT NULL;
