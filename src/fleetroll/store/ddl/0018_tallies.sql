-- How many devices are alike in what lists are most often asked for, so that nobody has to count them; '' is none. What
-- is asked together with a time is in the index of that time, so that counting and skipping look up no devices.

-- engine: sqlite

CREATE TABLE device_tally (
    org INTEGER NOT NULL,
    status TEXT NOT NULL,
    cohort TEXT NOT NULL,
    hardware_version TEXT NOT NULL,
    software_version TEXT NOT NULL,
    devices INTEGER NOT NULL,
    PRIMARY KEY (org, status, cohort, hardware_version, software_version)
) STRICT, WITHOUT ROWID;
INSERT INTO device_tally (org, status, cohort, hardware_version, software_version, devices)
SELECT org, status, coalesce(cohort, ''), coalesce(hardware_version, ''), coalesce(software_version, ''), count(*)
FROM device GROUP BY 1, 2, 3, 4, 5;
DROP INDEX device_seen;
-- Partial, or it would be taken for counting and sorting by whatever it covers, where a narrower index finds fewer.
CREATE INDEX device_seen ON device (org, last_seen, id, status, cohort, hardware_version, software_version)
WHERE last_seen IS NOT NULL;
CREATE INDEX device_unseen ON device (org) WHERE last_seen IS NULL;

-- engine: postgres

CREATE TABLE device_tally (
    org bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    cohort text COLLATE "C" NOT NULL,
    hardware_version text COLLATE "C" NOT NULL,
    software_version text COLLATE "C" NOT NULL,
    devices bigint NOT NULL,
    PRIMARY KEY (org, status, cohort, hardware_version, software_version)
) WITH (fillfactor = 50);
INSERT INTO device_tally (org, status, cohort, hardware_version, software_version, devices)
SELECT org, status, coalesce(cohort, ''), coalesce(hardware_version, ''), coalesce(software_version, ''), count(*)
FROM device GROUP BY 1, 2, 3, 4, 5;
DROP INDEX device_seen;
CREATE INDEX device_seen ON device (org, last_seen, id)
INCLUDE (status, cohort, hardware_version, software_version);
