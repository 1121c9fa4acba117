-- postgres_lock: wait until no other transaction writes for an organization
SELECT pg_advisory_xact_lock(:space, :lock);

-- postgres_try_lock: as postgres_lock, without waiting
SELECT pg_try_advisory_xact_lock(:space, :lock);

-- postgres_busy_locks: as postgres_try_lock, for several; those that somebody else has
SELECT lock FROM unnest(CAST(:locks AS integer[])) AS lock WHERE NOT pg_try_advisory_xact_lock(:space, lock);

-- postgres_reserve: numbers that a table gives to nobody else
SELECT nextval(sequence)
FROM (SELECT pg_get_serial_sequence(:table, :column)::regclass AS sequence OFFSET 0) AS found, generate_series(1, :count);

-- postgres_tell: every process over this database, if and when the transaction commits
SELECT pg_notify(:channel, :topic);

-- postgres_pulse: whether the server answers, and the value of a setting there
SELECT current_setting(:name);

-- postgres_last_number: the newest number that the timeline has given, whether committed or not
SELECT last_value FROM timeline_id_seq;

-- postgres_writing: the transactions that now write for any organization
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = :kind AND classid = :space AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- postgres_set: settings of this session
SELECT set_config(unnest(CAST(:names AS text[])), unnest(CAST(:settings AS text[])), false);

-- postgres_backend: which of the server's processes answers
SELECT pg_backend_pid();

-- postgres_process: whether the server has this process for a session
SELECT pid FROM pg_stat_activity WHERE pid = :process;

-- postgres_sessions: how many sessions of that name this database has
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name;

-- postgres_settings: the values of a server's settings
SELECT name, setting FROM pg_settings WHERE name = ANY (:names);

-- postgres_tables: the tables in the schema
SELECT table_name FROM information_schema.tables
WHERE table_schema = current_schema() AND table_type = :kind ORDER BY table_name;

-- postgres_changed: the tables that have changed much since they were last analyzed
SELECT relname FROM pg_stat_user_tables
WHERE schemaname = current_schema() AND n_mod_since_analyze > 500 + n_live_tup / 5;

-- postgres_index: whether there is an index of that name
SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND indexname = :name;

-- postgres_withheld: those of the tables and sequences that this role may not use, or of which it would see some rows only
SELECT relname FROM pg_class
WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relname = ANY (:names) AND CASE relkind
WHEN :sequence THEN NOT (has_sequence_privilege(oid, :usage) AND has_sequence_privilege(oid, :select))
ELSE row_security_active(oid) OR NOT (has_table_privilege(oid, :select) AND has_table_privilege(oid, :insert)
AND has_table_privilege(oid, :update) AND has_table_privilege(oid, :delete)) END ORDER BY relname;
