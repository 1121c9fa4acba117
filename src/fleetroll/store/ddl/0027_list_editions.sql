-- The latest revocation list of each authority: its number, which only rises, when it was signed, and a digest of what it
-- says. So every process signs the same one, and no clock that goes back makes a later list look like an older one.

-- engine: sqlite

ALTER TABLE authority ADD COLUMN list_number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE authority ADD COLUMN list_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE authority ADD COLUMN list_content TEXT NOT NULL DEFAULT '';

-- engine: postgres

ALTER TABLE authority ADD COLUMN list_number bigint NOT NULL DEFAULT 0;
ALTER TABLE authority ADD COLUMN list_at bigint NOT NULL DEFAULT 0;
ALTER TABLE authority ADD COLUMN list_content text COLLATE "C" NOT NULL DEFAULT '';
