-- What the vendors' views of a device need. An index leaves out the devices that it has nothing to say of.

-- engine: sqlite

ALTER TABLE device ADD COLUMN cohort TEXT;            -- slug; NULL is the default cohort
ALTER TABLE device ADD COLUMN template INTEGER;
ALTER TABLE device ADD COLUMN dms TEXT;
ALTER TABLE device ADD COLUMN software_version TEXT;  -- of `software`, for its index
ALTER TABLE device ADD COLUMN identity TEXT;          -- the identity slot
ALTER TABLE device ADD COLUMN identity_due INTEGER;   -- when the slot's status changes next
ALTER TABLE device ADD COLUMN metadata_times TEXT NOT NULL DEFAULT '{}';  -- of members that changed since creation
ALTER TABLE device ADD COLUMN token_version INTEGER NOT NULL DEFAULT 1;   -- of the derived device token
UPDATE device SET software_version = json_extract(software, '$.version')
WHERE json_type(software, '$.version') = 'text';
CREATE INDEX device_cohort ON device (org, cohort) WHERE cohort IS NOT NULL;
CREATE INDEX device_template ON device (org, template) WHERE template IS NOT NULL;
CREATE INDEX device_dms ON device (org, dms) WHERE dms IS NOT NULL;
CREATE INDEX device_software ON device (org, software_version) WHERE software_version IS NOT NULL;
CREATE INDEX device_hardware ON device (org, hardware_version) WHERE hardware_version IS NOT NULL;
CREATE INDEX device_due ON device (identity_due) WHERE identity_due IS NOT NULL;
ALTER TABLE organization ADD COLUMN key_version INTEGER NOT NULL DEFAULT 1;  -- of the derived project key

-- engine: postgres

ALTER TABLE device ADD COLUMN cohort text COLLATE "C";
ALTER TABLE device ADD COLUMN template bigint;
ALTER TABLE device ADD COLUMN dms text COLLATE "C";
ALTER TABLE device ADD COLUMN software_version text COLLATE "C";
ALTER TABLE device ADD COLUMN identity text COLLATE "C";
ALTER TABLE device ADD COLUMN identity_due bigint;
ALTER TABLE device ADD COLUMN metadata_times text COLLATE "C" NOT NULL DEFAULT '{}';
ALTER TABLE device ADD COLUMN token_version bigint NOT NULL DEFAULT 1;
UPDATE device SET software_version = software::jsonb ->> 'version'
WHERE jsonb_typeof(software::jsonb -> 'version') = 'string';
CREATE INDEX device_cohort ON device (org, cohort, id) WHERE cohort IS NOT NULL;
CREATE INDEX device_template ON device (org, template, id) WHERE template IS NOT NULL;
CREATE INDEX device_dms ON device (org, dms, id) WHERE dms IS NOT NULL;
CREATE INDEX device_software ON device (org, software_version, id) WHERE software_version IS NOT NULL;
CREATE INDEX device_hardware ON device (org, hardware_version, id) WHERE hardware_version IS NOT NULL;
CREATE INDEX device_due ON device (identity_due) WHERE identity_due IS NOT NULL;
ALTER TABLE organization ADD COLUMN key_version bigint NOT NULL DEFAULT 1;
