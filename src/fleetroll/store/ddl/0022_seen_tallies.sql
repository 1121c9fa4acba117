-- How many devices were last seen in each span of 2^32 microseconds, some 72 minutes: what a range of times has of whole
-- spans needs not be counted.

-- engine: sqlite

CREATE TABLE device_seen_tally (
    org INTEGER NOT NULL,
    span INTEGER NOT NULL,
    devices INTEGER NOT NULL,
    PRIMARY KEY (org, span)
) STRICT, WITHOUT ROWID;
INSERT INTO device_seen_tally (org, span, devices)
SELECT org, last_seen >> 32, count(*) FROM device WHERE last_seen IS NOT NULL GROUP BY 1, 2;
-- Triggers, for a device that is seen again is mostly in the same span, and a statement would first have to ask.
CREATE TRIGGER device_seen_first AFTER INSERT ON device WHEN new.last_seen IS NOT NULL
BEGIN
    INSERT INTO device_seen_tally (org, span, devices) VALUES (new.org, new.last_seen >> 32, 1)
    ON CONFLICT (org, span) DO UPDATE SET devices = devices + 1;
END;
CREATE TRIGGER device_seen_again AFTER UPDATE OF org, last_seen ON device
WHEN (new.org, new.last_seen >> 32) IS NOT (old.org, old.last_seen >> 32)
BEGIN
    UPDATE device_seen_tally SET devices = devices - 1 WHERE org = old.org AND span = old.last_seen >> 32;
    DELETE FROM device_seen_tally WHERE org = old.org AND span = old.last_seen >> 32 AND devices = 0;
    INSERT INTO device_seen_tally (org, span, devices) SELECT new.org, new.last_seen >> 32, 1 WHERE new.last_seen IS NOT NULL
    ON CONFLICT (org, span) DO UPDATE SET devices = devices + 1;
END;
CREATE TRIGGER device_seen_no_more AFTER DELETE ON device WHEN old.last_seen IS NOT NULL
BEGIN
    UPDATE device_seen_tally SET devices = devices - 1 WHERE org = old.org AND span = old.last_seen >> 32;
    DELETE FROM device_seen_tally WHERE org = old.org AND span = old.last_seen >> 32 AND devices = 0;
END;

-- engine: postgres

-- It counts in the index.
SELECT 1;
