-- Groups have parents, criteria, and a name for programs.

-- engine: sqlite

ALTER TABLE saved_group ADD COLUMN uid TEXT;
ALTER TABLE saved_group ADD COLUMN parent_id INTEGER;
ALTER TABLE saved_group ADD COLUMN criteria TEXT NOT NULL DEFAULT '[]';

-- engine: postgres

ALTER TABLE saved_group ADD COLUMN uid TEXT COLLATE "C";
ALTER TABLE saved_group ADD COLUMN parent_id BIGINT;
ALTER TABLE saved_group ADD COLUMN criteria TEXT COLLATE "C" NOT NULL DEFAULT '[]';
