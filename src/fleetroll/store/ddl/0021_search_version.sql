-- The version of the substring index, by which each view of the store tells what it has of it.

-- engine: sqlite

CREATE TABLE device_search_version (
    id INTEGER PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT;
INSERT INTO device_search_version (id, number) VALUES (1, 0);

-- engine: postgres

-- It keeps its index itself, so there is nothing to change.
SELECT 1;
