-- What authorities had revoked that were deleted since. Whoever trusts such an authority by its certificate still refuses
-- these, and looks for what is revoked by serial number alone: the authority may be another organization's.

-- engine: sqlite

CREATE TABLE revocation (
    serial TEXT NOT NULL,
    org INTEGER NOT NULL,
    der TEXT NOT NULL,
    PRIMARY KEY (serial, org)
) STRICT, WITHOUT ROWID;
CREATE INDEX certificate_withdrawn ON certificate (serial) WHERE revoked_at IS NOT NULL;

-- engine: postgres

CREATE TABLE revocation (
    serial text COLLATE "C" NOT NULL,
    org bigint NOT NULL,
    der text COLLATE "C" NOT NULL,
    PRIMARY KEY (serial, org)
);
CREATE INDEX certificate_withdrawn ON certificate (serial) WHERE revoked_at IS NOT NULL;
