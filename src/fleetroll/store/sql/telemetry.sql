-- series_count: how many a device has
SELECT count(*) FROM series WHERE org = :org AND device = :device;

-- series_open: one metric of one device in one mode, if it is not there
INSERT INTO series (org, device, mode, metric) VALUES (:org, :device, :mode, :metric)
ON CONFLICT (org, device, mode, metric) DO NOTHING;

-- reading_put: one value of a series that was found in its tenant, over the one of the same time
INSERT INTO reading (series, at, number, document) VALUES (:series, :at, :number, :document)
ON CONFLICT (series, at) DO UPDATE SET number = excluded.number, document = excluded.document;

-- reading_last: the newest of each metric
SELECT s.metric, r.at, r.number, r.document FROM series AS s JOIN reading AS r ON r.series = s.id
AND r.at = (SELECT max(p.at) FROM reading AS p WHERE p.series = s.id)
WHERE s.org = :org AND s.device = :device AND s.mode = :mode ORDER BY s.metric;

-- reading_range: of one metric, oldest first
SELECT r.at, r.number, r.document FROM series AS s JOIN reading AS r ON r.series = s.id
WHERE s.org = :org AND s.device = :device AND s.mode = :mode AND s.metric = :metric AND r.at >= :since AND r.at < :until
ORDER BY r.at LIMIT :limit;

-- reading_slice: as reading_range, newest first, by place
SELECT r.at, r.number, r.document FROM series AS s JOIN reading AS r ON r.series = s.id
WHERE s.org = :org AND s.device = :device AND s.mode = :mode AND s.metric = :metric AND r.at >= :since AND r.at < :until
ORDER BY r.at DESC LIMIT :limit OFFSET :offset;

-- reading_count: as reading_range
SELECT count(*) FROM series AS s JOIN reading AS r ON r.series = s.id
WHERE s.org = :org AND s.device = :device AND s.mode = :mode AND s.metric = :metric AND r.at >= :since AND r.at < :until;

-- reading_buckets: aggregates of one metric by intervals; vast numbers are summed apart and scaled, so no sum fails
SELECT b.bucket, b.points, b.least, b.most, b.total, b.vast, f.number, l.number
FROM (
    SELECT s.id AS series, r.at / :interval AS bucket, count(r.number) AS points, min(r.number) AS least,
        max(r.number) AS most, sum(CASE WHEN abs(r.number) < :vast THEN r.number END) AS total,
        sum(CASE WHEN abs(r.number) >= :vast THEN r.number / :scale END) AS vast,
        min(r.at) AS first_at, max(r.at) AS last_at
    FROM series AS s JOIN reading AS r ON r.series = s.id
    WHERE s.org = :org AND s.device = :device AND s.mode = :mode AND s.metric = :metric AND r.at >= :since AND r.at < :until
        AND r.number IS NOT NULL
    GROUP BY s.id, r.at / :interval
) AS b
JOIN reading AS f ON f.series = b.series AND f.at = b.first_at
JOIN reading AS l ON l.series = b.series AND l.at = b.last_at
ORDER BY b.bucket;

-- reading_spreads: the two in the middle and the variance of the buckets of reading_buckets; nothing is squared in vain
SELECT w.bucket, min(CASE WHEN 2 * w.place BETWEEN w.points AND w.points + 2 THEN w.number END),
    max(CASE WHEN 2 * w.place BETWEEN w.points AND w.points + 2 THEN w.number END),
    CASE WHEN max(abs(w.number)) < :vast THEN sum(
        CASE WHEN abs(w.number) < :vast AND abs(w.number - w.mean) > :tiny
            THEN (w.number - w.mean) * (w.number - w.mean) ELSE 0 END
    ) / nullif(count(w.number) - 1, 0) END
FROM (
    SELECT r.at / :interval AS bucket, r.number AS number,
        coalesce(
            sum(CASE WHEN abs(r.number) > :tiny AND abs(r.number) < :vast THEN r.number END)
                OVER (PARTITION BY r.at / :interval), 0
        ) / count(r.number) OVER (PARTITION BY r.at / :interval) AS mean,
        count(r.number) OVER (PARTITION BY r.at / :interval) AS points,
        row_number() OVER (PARTITION BY r.at / :interval ORDER BY r.number) AS place
    FROM series AS s JOIN reading AS r ON r.series = s.id
    WHERE s.org = :org AND s.device = :device AND s.mode = :mode AND s.metric = :metric AND r.at >= :since AND r.at < :until
        AND r.number IS NOT NULL
) AS w
GROUP BY w.bucket ORDER BY w.bucket;

-- series_give_up: note which series are to be removed
INSERT INTO series_gone (org, series) SELECT org, id FROM series WHERE org = :org AND device = :device;

-- series_delete: all of a device
DELETE FROM series WHERE org = :org AND device = :device;

-- series_move: to another organization, with their device
UPDATE series SET org = :to WHERE org = :org AND device = :device;

-- gone_page: nobody's any more, some readings of forgotten series; the time is null where a series has no more
SELECT g.series, r.at FROM series_gone AS g LEFT JOIN reading AS r ON r.series = g.series
ORDER BY g.series, r.at LIMIT :limit;

-- reading_purge: of one series, up to a time
DELETE FROM reading WHERE series = :series AND at <= :at;

-- gone_series: nobody's any more, a series without readings
DELETE FROM series_gone WHERE series = :series;

-- series_reach: all tenants, how far the next ones go
SELECT max(page.id) FROM (SELECT id FROM series WHERE id > :after ORDER BY id LIMIT :limit) AS page;

-- reading_old: all tenants, by age among these series, but for the newest of each
SELECT s.id, r.at FROM series AS s JOIN reading AS r ON r.series = s.id AND r.at < :before
    AND r.at < (SELECT max(p.at) FROM reading AS p WHERE p.series = s.id)
WHERE s.id > :after AND s.id <= :reached ORDER BY s.id, r.at LIMIT :limit;
