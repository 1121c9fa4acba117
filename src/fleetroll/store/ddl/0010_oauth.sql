-- What OAuth2 clients were given for their secrets, as keyed digests.

-- engine: sqlite

CREATE TABLE oauth_token (
    org INTEGER NOT NULL,
    api_key INTEGER NOT NULL,
    digest TEXT NOT NULL,
    refreshes INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (org, api_key, digest)
) STRICT, WITHOUT ROWID;

-- engine: postgres

CREATE TABLE oauth_token (
    org BIGINT NOT NULL,
    api_key BIGINT NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    refreshes BOOLEAN NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (org, api_key, digest)
);
