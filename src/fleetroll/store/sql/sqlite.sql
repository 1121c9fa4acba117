-- sqlite_sequence: the highest id that a table has given
SELECT seq FROM sqlite_sequence WHERE name = :name;

-- sqlite_load_device: whole new devices from a JSON array of rows, each with its org
INSERT INTO device (id, org, status, connected, created_at, updated_at, revision, ident, ident_key, search, name, kind,
    hardware_version, software, metadata, tags, owners, metric_schema, config, extras, cohort, template, dms, dms_folded,
    software_version)
SELECT value ->> 0, value ->> 1, value ->> 2, false, value ->> 3, value ->> 3, 1, value ->> 4, value ->> 5, value ->> 6,
    value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14,
    value ->> 15, value ->> 16, value ->> 17, value ->> 18, value ->> 19, value ->> 20, value ->> 21
FROM jsonb_each(:rows);

-- sqlite_load_device_tag: links from a JSON array of org, tag, device
INSERT INTO device_tag (org, tag, device, folded)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM jsonb_each(:rows);

-- sqlite_load_device_owner: links from a JSON array of org, owner, device
INSERT INTO device_owner (org, owner, device)
SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each(:rows);

-- sqlite_load_timeline: entries from a JSON array of rows, each with its org
INSERT INTO timeline (org, at, type, subject, subject_id, name, actor, request, data, reported_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8,
    value ->> 9
FROM jsonb_each(:rows);

-- sqlite_index_add: what devices are found by, from a JSON array of device, text
INSERT INTO device_search (rowid, search) SELECT value ->> 0, value ->> 1 FROM jsonb_each(:rows);

-- sqlite_index_remove: as sqlite_index_add, with the text that was added
INSERT INTO device_search (device_search, rowid, search) SELECT 'delete', value ->> 0, value ->> 1 FROM jsonb_each(:rows);

-- sqlite_index_changed: the substring index has changed; its new version
UPDATE device_search_version SET number = number + 1 WHERE id = 1 RETURNING number;

-- sqlite_index_segments: how many pages each segment of the substring index has; it lists those that begin a trigram
SELECT max(pgno) / 2 - min(pgno) / 2 + 1 FROM device_search_idx GROUP BY segid;

-- sqlite_index_merge: merge the substring index, as far as it takes to write so many pages
INSERT INTO device_search (device_search, rank) VALUES ('merge', :pages);

-- sqlite_common_trigrams: what most devices are found by, with how many there are
SELECT term, doc FROM device_search_terms ORDER BY doc DESC LIMIT :limit;
