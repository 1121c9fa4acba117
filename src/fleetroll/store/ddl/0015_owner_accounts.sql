-- What an owner is to the organization, and how to address it.

-- engine: sqlite

ALTER TABLE owner ADD COLUMN role TEXT NOT NULL DEFAULT 'user';
ALTER TABLE owner ADD COLUMN status TEXT NOT NULL DEFAULT 'active';
ALTER TABLE owner ADD COLUMN title TEXT;
ALTER TABLE owner ADD COLUMN nickname TEXT;
ALTER TABLE owner ADD COLUMN time_zone TEXT;
ALTER TABLE owner ADD COLUMN locale TEXT;

-- engine: postgres

ALTER TABLE owner
    ADD COLUMN role TEXT COLLATE "C" NOT NULL DEFAULT 'user',
    ADD COLUMN status TEXT COLLATE "C" NOT NULL DEFAULT 'active',
    ADD COLUMN title TEXT COLLATE "C",
    ADD COLUMN nickname TEXT COLLATE "C",
    ADD COLUMN time_zone TEXT COLLATE "C",
    ADD COLUMN locale TEXT COLLATE "C";
