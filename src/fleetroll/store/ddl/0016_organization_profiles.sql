-- What people say of their organization: description, time zone, units, telephone, address. JSON.

-- engine: sqlite

ALTER TABLE organization ADD COLUMN profile TEXT NOT NULL DEFAULT '{}';

-- engine: postgres

ALTER TABLE organization ADD COLUMN profile TEXT COLLATE "C" NOT NULL DEFAULT '{}';
