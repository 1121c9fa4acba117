-- server_key_mark: the mark of the server key that the database was made with
SELECT mark FROM server_key WHERE id = 1;

-- server_key_sealed: an organization's authorities with sealed keys; only columns that every schema with authorities has
SELECT a.id, a.org, a.name, a.serial, a.certificate, a.sealed_key, a.not_before, a.not_after, a.created_at, a.updated_at,
    a.revision
FROM organization AS o JOIN authority AS a ON a.org = o.id
WHERE o.parent = :org AND o.slug = :slug AND a.sealed_key IS NOT NULL ORDER BY a.name LIMIT :limit;

-- server_key_leave: the mark of a database that has none yet
INSERT INTO server_key (id, mark) VALUES (1, :mark) ON CONFLICT (id) DO NOTHING RETURNING id;
