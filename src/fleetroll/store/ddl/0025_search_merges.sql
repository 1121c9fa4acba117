-- The substring index is merged in larger steps, which halves what a growing fleet rewrites of it.

-- engine: sqlite

INSERT INTO device_search (device_search, rank) VALUES ('automerge', 16);

-- engine: postgres

-- It keeps its index itself, so there is nothing to change.
SELECT 1;
