-- When a device last spoke for itself, with no broker between: what is left to go by once its last connection has ended.
-- No index is about it, so writing it costs no more than writing when the device was last seen.

-- engine: sqlite

ALTER TABLE device ADD COLUMN spoke_at INTEGER;

-- engine: postgres

ALTER TABLE device ADD COLUMN spoke_at BIGINT;
