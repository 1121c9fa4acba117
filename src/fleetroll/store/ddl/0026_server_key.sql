-- What a database knows of the server key that it was made with: enough to tell it from another one, with which none of
-- its keys, cursors and sealed replies would be good. Of no organization. There is no row until a server has started.

-- engine: sqlite

CREATE TABLE server_key (
    id INTEGER PRIMARY KEY,
    mark TEXT NOT NULL
) STRICT;

-- engine: postgres

CREATE TABLE server_key (
    id BIGINT PRIMARY KEY,
    mark TEXT COLLATE "C" NOT NULL
);
-- It was kept beside the schema's number.
INSERT INTO server_key (id, mark) SELECT 1, server_key FROM fleetroll WHERE server_key IS NOT NULL;
ALTER TABLE fleetroll DROP COLUMN server_key;
