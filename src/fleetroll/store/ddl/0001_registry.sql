-- The registry. Each engine has its own section; only DDL differs between engines.

-- engine: sqlite

CREATE TABLE organization (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    parent INTEGER NOT NULL,  -- 0 for the root, so that the slug is unique there too
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    lineage TEXT NOT NULL,    -- JSON array of the ids above
    disabled INTEGER NOT NULL,
    quotas TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    UNIQUE (parent, slug)
) STRICT;

CREATE TABLE quota_usage (
    org INTEGER NOT NULL,
    noun TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (org, noun)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    role TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER,
    prefix TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL
) STRICT;
CREATE INDEX api_key_org ON api_key (org);

CREATE TABLE device (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused
    org INTEGER NOT NULL,
    ident TEXT NOT NULL,
    ident_key TEXT NOT NULL,  -- NFC form
    search TEXT NOT NULL,     -- folded identifier, line end, folded name
    name TEXT,
    kind TEXT,
    hardware_version TEXT,
    software TEXT,
    metadata TEXT NOT NULL,
    tags TEXT NOT NULL,       -- JSON array; device_tag is its index
    owners TEXT NOT NULL,     -- JSON array; device_owner is its index
    metric_schema TEXT NOT NULL,
    config TEXT NOT NULL,
    status TEXT NOT NULL,
    connected INTEGER NOT NULL,
    last_seen INTEGER,
    activated_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    extras TEXT NOT NULL
) STRICT;
-- The row id ends every index, so each of them also gives the order of keyset pages.
CREATE UNIQUE INDEX device_ident ON device (org, ident_key);
CREATE INDEX device_status ON device (org, status);
CREATE INDEX device_kind ON device (org, kind);
CREATE INDEX device_name ON device (org, name);
CREATE INDEX device_created ON device (org, created_at);
CREATE INDEX device_updated ON device (org, updated_at);
CREATE INDEX device_seen ON device (org, last_seen);
CREATE INDEX device_org ON device (org);
CREATE INDEX device_connected ON device (org) WHERE connected = true; -- spelled as in the statements, or it is not used

CREATE TABLE device_tag (
    org INTEGER NOT NULL,
    tag TEXT NOT NULL,
    device INTEGER NOT NULL,
    PRIMARY KEY (org, tag, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE device_owner (
    org INTEGER NOT NULL,
    owner TEXT NOT NULL,
    device INTEGER NOT NULL,
    PRIMARY KEY (org, owner, device)
) STRICT, WITHOUT ROWID;

-- Trigrams of `search`. Positions are left out (detail=none), which halves the cost of a write; the builder
-- asks for all trigrams of a text and then compares the text itself.
CREATE VIRTUAL TABLE device_search USING fts5 (
    search, content='', detail=none, columnsize=0, tokenize='trigram case_sensitive 1'
);
CREATE VIRTUAL TABLE device_search_terms USING fts5vocab (device_search, row);

CREATE TABLE owner (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org INTEGER NOT NULL,
    ref TEXT NOT NULL,
    name TEXT,
    phone TEXT,
    address TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    UNIQUE (org, ref)
) STRICT;

CREATE TABLE saved_group (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    filter TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    UNIQUE (org, name)
) STRICT;

CREATE TABLE metadata_field (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    description TEXT,
    required INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    UNIQUE (org, name)
) STRICT;

CREATE TABLE timeline (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org INTEGER NOT NULL,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    subject_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    actor TEXT NOT NULL,
    request TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX timeline_org ON timeline (org);
CREATE INDEX timeline_subject ON timeline (org, subject_id, subject);

CREATE TABLE replay (
    org INTEGER NOT NULL,
    api_key INTEGER NOT NULL,
    name TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (org, api_key, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX replay_at ON replay (at);

-- engine: postgres

-- Text is compared byte by byte, as SQLite does, whatever the database's own collation.
CREATE TABLE organization (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    parent bigint NOT NULL,
    slug text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    lineage text COLLATE "C" NOT NULL,
    disabled boolean NOT NULL,
    quotas text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    revision bigint NOT NULL,
    UNIQUE (parent, slug)
);

-- Rewritten with every device that comes or goes: room on each page keeps the new versions off the index.
CREATE TABLE quota_usage (
    org bigint NOT NULL,
    noun text COLLATE "C" NOT NULL,
    used bigint NOT NULL,
    PRIMARY KEY (org, noun)
) WITH (fillfactor = 50);

CREATE TABLE api_key (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    org bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    scopes text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    revoked_at bigint,
    last_used_at bigint,
    prefix text COLLATE "C" NOT NULL UNIQUE,
    digest text COLLATE "C" NOT NULL
);
CREATE INDEX api_key_org ON api_key (org, id);

-- Documents stay text, which keeps them as they were written, order of members and spelling of numbers included.
CREATE TABLE device (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    org bigint NOT NULL,
    ident text COLLATE "C" NOT NULL,
    ident_key text COLLATE "C" NOT NULL,
    search text COLLATE "C" NOT NULL,
    name text COLLATE "C",
    kind text COLLATE "C",
    hardware_version text COLLATE "C",
    software text COLLATE "C",
    metadata text COLLATE "C" NOT NULL,
    tags text COLLATE "C" NOT NULL,
    owners text COLLATE "C" NOT NULL,
    metric_schema text COLLATE "C" NOT NULL,
    config text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    connected boolean NOT NULL,
    last_seen bigint,
    activated_at bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    revision bigint NOT NULL,
    extras text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX device_ident ON device (org, ident_key);
CREATE INDEX device_status ON device (org, status, id);
CREATE INDEX device_kind ON device (org, kind, id);
CREATE INDEX device_name ON device (org, name, id);
CREATE INDEX device_created ON device (org, created_at, id);
CREATE INDEX device_updated ON device (org, updated_at, id);
CREATE INDEX device_seen ON device (org, last_seen, id);
CREATE INDEX device_org ON device (org, id);
CREATE INDEX device_connected ON device (org, id) WHERE connected = true;
-- Those without a value come in order of id; an index on the value does not know that order.
CREATE INDEX device_kindless ON device (org, id) WHERE kind IS NULL;
CREATE INDEX device_nameless ON device (org, id) WHERE name IS NULL;
CREATE INDEX device_unseen ON device (org, id) WHERE last_seen IS NULL;
CREATE INDEX device_metadata ON device USING gin ((metadata::jsonb) jsonb_path_ops);

CREATE TABLE device_tag (
    org bigint NOT NULL,
    tag text COLLATE "C" NOT NULL,
    device bigint NOT NULL,
    PRIMARY KEY (org, tag, device)
);

CREATE TABLE device_owner (
    org bigint NOT NULL,
    owner text COLLATE "C" NOT NULL,
    device bigint NOT NULL,
    PRIMARY KEY (org, owner, device)
);

CREATE TABLE owner (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    org bigint NOT NULL,
    ref text COLLATE "C" NOT NULL,
    name text COLLATE "C",
    phone text COLLATE "C",
    address text COLLATE "C",
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    revision bigint NOT NULL,
    UNIQUE (org, ref)
);

CREATE TABLE saved_group (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    org bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    description text COLLATE "C",
    filter text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    revision bigint NOT NULL,
    UNIQUE (org, name)
);

CREATE TABLE metadata_field (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    org bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    description text COLLATE "C",
    required boolean NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    revision bigint NOT NULL,
    UNIQUE (org, name)
);

CREATE TABLE timeline (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    org bigint NOT NULL,
    at bigint NOT NULL,
    type text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    subject_id bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    request text COLLATE "C" NOT NULL,
    data text COLLATE "C" NOT NULL
);
CREATE INDEX timeline_org ON timeline (org, id);
CREATE INDEX timeline_subject ON timeline (org, subject_id, subject, id);

CREATE TABLE replay (
    org bigint NOT NULL,
    api_key bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    status bigint NOT NULL,
    headers text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (org, api_key, name)
);
CREATE INDEX replay_at ON replay (at);
