-- server_key_mark: of the one that the database was made with
SELECT mark FROM server_key WHERE id = 1;

-- server_key_leave: the mark of a database that has none yet
INSERT INTO server_key (id, mark) VALUES (1, :mark) ON CONFLICT (id) DO NOTHING RETURNING id;
