-- The substring index is merged sixteen segments at a time, which halves what a growing fleet rewrites of it. A merge of all
-- at once, which writers wait for, comes only where twice as many are left, and does not come in an import.

-- engine: sqlite

INSERT INTO device_search (device_search, rank) VALUES ('automerge', 16);
INSERT INTO device_search (device_search, rank) VALUES ('crisismerge', 32);

-- engine: postgres

-- It keeps its index itself, so there is nothing to change.
SELECT 1;
