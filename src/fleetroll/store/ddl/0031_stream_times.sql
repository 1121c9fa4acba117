-- When the broker had stored the last message of a stream that is read: it was kept under a name of its own, `… at`.

-- engine: sqlite

ALTER TABLE progress ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
UPDATE progress SET at = coalesce((SELECT t.place FROM progress AS t WHERE t.name = progress.name || ' at'), 0);
DELETE FROM progress WHERE name LIKE '% at';

-- engine: postgres

ALTER TABLE progress ADD COLUMN at bigint NOT NULL DEFAULT 0;
UPDATE progress SET at = coalesce((SELECT t.place FROM progress AS t WHERE t.name = progress.name || ' at'), 0);
DELETE FROM progress WHERE name LIKE '% at';
