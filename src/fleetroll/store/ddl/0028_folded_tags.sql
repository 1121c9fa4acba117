-- Tags that a registry had before their folded form was kept (schema 3), and that differ from it.

-- engine: sqlite

UPDATE device_tag SET folded = folded_form(tag)
WHERE folded IS NULL
    AND (org, tag) IN (SELECT org, tag FROM device_tag GROUP BY org, tag HAVING folded_form(tag) IS NOT NULL);

-- engine: postgres

-- It has kept it ever since there are registries on it, so there is nothing to change.
SELECT 1;
