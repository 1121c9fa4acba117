-- What devices send in chunks: a count and the beginning of a message for each device, and the last few as they came.

-- engine: sqlite

CREATE TABLE mailbox (
    org INTEGER NOT NULL,
    device INTEGER NOT NULL,
    received INTEGER NOT NULL,
    undecoded INTEGER NOT NULL,
    partial TEXT,
    PRIMARY KEY (org, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE chunk (
    org INTEGER NOT NULL,
    device INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    at INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (org, device, slot)
) STRICT, WITHOUT ROWID;

-- engine: postgres

CREATE TABLE mailbox (
    org BIGINT NOT NULL,
    device BIGINT NOT NULL,
    received BIGINT NOT NULL,
    undecoded BIGINT NOT NULL,
    partial TEXT COLLATE "C",
    PRIMARY KEY (org, device)
);

CREATE TABLE chunk (
    org BIGINT NOT NULL,
    device BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    at BIGINT NOT NULL,
    data TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (org, device, slot)
);
