-- What a device reports in another mode than production is kept in series of their own.

-- engine: sqlite

ALTER TABLE series ADD COLUMN mode TEXT NOT NULL DEFAULT '';
DROP INDEX series_metric;
CREATE UNIQUE INDEX series_metric ON series (org, device, mode, metric);

-- engine: postgres

ALTER TABLE series ADD COLUMN mode TEXT COLLATE "C" NOT NULL DEFAULT '';
DROP INDEX series_metric;
CREATE UNIQUE INDEX series_metric ON series (org, device, mode, metric);
