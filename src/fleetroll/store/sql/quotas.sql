-- usage_add: count more, unless that exceeds the quota
INSERT INTO quota_usage (org, noun, used) VALUES (:org, :noun, :count)
ON CONFLICT (org, noun) DO UPDATE SET used = quota_usage.used + :count
WHERE :count < 0 OR quota_usage.used + :count <= :quota RETURNING used;

-- usage_below: how much of a noun an organization and all below it use, by id
SELECT q.org, q.used FROM quota_usage AS q
WHERE q.noun = :noun AND q.org IN ({organization_ids_below})
ORDER BY q.org;

-- usage_of: every counter of an organization
SELECT noun, used FROM quota_usage WHERE org = :org ORDER BY noun;

-- usage_forget: with the organization
DELETE FROM quota_usage WHERE org = :org;

-- daily_use_add: once more today, for as long as that is allowed
INSERT INTO daily_use (org, device, noun, day, used) VALUES (:org, :device, :noun, :day, 1)
ON CONFLICT (org, device, noun) DO UPDATE SET
    used = CASE WHEN daily_use.day < excluded.day THEN 1 ELSE daily_use.used + 1 END,
    day = CASE WHEN daily_use.day < excluded.day THEN excluded.day ELSE daily_use.day END
WHERE daily_use.day < excluded.day OR daily_use.used < :most RETURNING used;

-- daily_use_forget: with the device
DELETE FROM daily_use WHERE org = :org AND device = :device;

-- daily_use_move: to another organization, with the device
UPDATE daily_use SET org = :to WHERE org = :org AND device = :device;
