-- What lists by tag, DMS and life ask for. A folded form is kept only where it differs from the text itself.

-- engine: sqlite

ALTER TABLE device ADD COLUMN dms_folded TEXT;
ALTER TABLE device_tag ADD COLUMN folded TEXT;
CREATE INDEX device_tag_folded ON device_tag (org, folded) WHERE folded IS NOT NULL;
-- The events that a device's life consists of, spelled as in the statements, or it is not used.
CREATE INDEX timeline_life ON timeline (org, subject_id)
WHERE type IN ('device.identity_changed', 'device.decommissioned');

-- engine: postgres

ALTER TABLE device ADD COLUMN dms_folded text COLLATE "C";
ALTER TABLE device_tag ADD COLUMN folded text COLLATE "C";
CREATE INDEX device_tag_folded ON device_tag (org, folded, device) WHERE folded IS NOT NULL;
CREATE INDEX timeline_life ON timeline (org, subject_id, id)
WHERE type IN ('device.identity_changed', 'device.decommissioned');
