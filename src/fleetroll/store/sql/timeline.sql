-- timeline_insert: one entry
INSERT INTO timeline (org, at, type, subject, subject_id, name, actor, request, data, reported_at)
VALUES (:org, :at, :type, :subject, :subject_id, :name, :actor, :request, :data, :reported_at);

-- timeline_of_device: newest first
SELECT id, org, at, type, subject, subject_id, name, actor, request, data, reported_at
FROM timeline WHERE org = :org AND subject = :subject AND subject_id = :device AND id < :before
ORDER BY id DESC LIMIT :limit;

-- timeline_since: oldest first
SELECT id, org, at, type, subject, subject_id, name, actor, request, data, reported_at
FROM timeline WHERE org = :org AND id > :after ORDER BY id LIMIT :limit;

-- timeline_reported: of one type, by the time that was given
SELECT id, org, at, type, subject, subject_id, name, actor, request, data, reported_at
FROM timeline WHERE org = :org AND subject_id = :device AND type = :type
    AND reported_at >= :since AND reported_at < :until
ORDER BY reported_at, id LIMIT :limit OFFSET :offset;

-- timeline_published: all tenants, oldest first, for the publisher
SELECT id, org, at, type, subject, subject_id, name, actor, request, data, reported_at
FROM timeline WHERE id > :after AND id <= :settled ORDER BY id LIMIT :limit;

-- timeline_newest: the newest number of an organization
SELECT coalesce(max(id), 0) FROM timeline WHERE org = :org;

-- timeline_last: all tenants, the newest number
SELECT coalesce(max(id), 0) FROM timeline;

-- timeline_forget: with the device
DELETE FROM timeline WHERE org = :org AND subject = :subject AND subject_id = :device;

-- timeline_reach: all tenants, how far the next ones go, and whether one of them is within a span
SELECT max(page.id), max(CASE WHEN page.at >= :since AND page.at < :until THEN 1 ELSE 0 END)
FROM (SELECT id, at FROM timeline WHERE id > :after ORDER BY id LIMIT :limit) AS page;

-- timeline_purge: all tenants, by age, except what changed the status of devices, and the newest of each tenant
DELETE FROM timeline WHERE id > :after AND id <= :reached AND at < :before AND type NOT IN (:changed, :decommissioned)
    AND id < (SELECT max(n.id) FROM timeline AS n WHERE n.org = timeline.org);

-- timeline_forget_all: with the organization
DELETE FROM timeline WHERE org = :org;

-- timeline_move: to another organization, with the device
UPDATE timeline SET org = :to WHERE org = :org AND subject = :subject AND subject_id = :device;

-- timeline_of_types: a device's entries of up to ten types, newest first, by place
SELECT id, org, at, type, subject, subject_id, name, actor, request, data, reported_at
FROM timeline WHERE org = :org AND subject = :subject AND subject_id = :device
    AND type IN (:t0, :t1, :t2, :t3, :t4, :t5, :t6, :t7, :t8, :t9)
ORDER BY id DESC LIMIT :limit OFFSET :offset;

-- timeline_count_types: as timeline_of_types
SELECT count(*) FROM timeline WHERE org = :org AND subject = :subject AND subject_id = :device
    AND type IN (:t0, :t1, :t2, :t3, :t4, :t5, :t6, :t7, :t8, :t9);

-- timeline_forget_types: as timeline_of_types
DELETE FROM timeline WHERE org = :org AND subject = :subject AND subject_id = :device
    AND type IN (:t0, :t1, :t2, :t3, :t4, :t5, :t6, :t7, :t8, :t9);

-- timeline_by_keys: what keys did to a device, newest first, by place
SELECT id, org, at, type, subject, subject_id, name, actor, request, data, reported_at
FROM timeline WHERE org = :org AND subject = :subject AND subject_id = :device AND actor >= :first AND actor < :beyond
ORDER BY id DESC LIMIT :limit OFFSET :offset;

-- timeline_count_by_keys: as timeline_by_keys
SELECT count(*) FROM timeline
WHERE org = :org AND subject = :subject AND subject_id = :device AND actor >= :first AND actor < :beyond;
