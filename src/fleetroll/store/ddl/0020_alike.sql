-- Pages by place of what is tallied. Where many devices match, the list is walked and no device that is passed is looked
-- up; where few do, the tallies that match lead to their devices, in an order that needs no sorting within each.

-- engine: sqlite

DROP INDEX device_org;
CREATE INDEX device_org ON device (org, id, status, cohort, hardware_version, software_version);
CREATE INDEX device_alike ON device (org, status, cohort, hardware_version, software_version);

-- engine: postgres

-- It joins what the index of each word finds, so there is nothing to change.
SELECT 1;
