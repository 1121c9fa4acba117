-- What applications know a device by that has left their organization while it was connected: it is not there to be asked
-- when its connections have ended.

-- engine: sqlite

ALTER TABLE broker_connection ADD COLUMN ident TEXT;
ALTER TABLE broker_connection ADD COLUMN env TEXT;
ALTER TABLE broker_connection ADD COLUMN public_id TEXT;

-- engine: postgres

ALTER TABLE broker_connection ADD COLUMN ident TEXT COLLATE "C";
ALTER TABLE broker_connection ADD COLUMN env TEXT COLLATE "C";
ALTER TABLE broker_connection ADD COLUMN public_id TEXT COLLATE "C";
