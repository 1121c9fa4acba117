-- Which process owns what only one may do. Of no organization.

-- engine: sqlite

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,  -- empty where nobody is
    beat INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- engine: postgres

CREATE TABLE lease (
    name text COLLATE "C" PRIMARY KEY,
    holder text COLLATE "C" NOT NULL,
    beat bigint NOT NULL
);
