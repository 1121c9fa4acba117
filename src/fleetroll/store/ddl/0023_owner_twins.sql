-- The other one of two owners that are one, while a new reference is carried to the devices of the older one.

-- engine: sqlite

ALTER TABLE owner ADD COLUMN twin INTEGER;

-- engine: postgres

ALTER TABLE owner ADD COLUMN twin BIGINT;
