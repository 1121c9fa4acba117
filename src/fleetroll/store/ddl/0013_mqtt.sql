-- Credentials of devices are for one of two protocols of the broker.

-- engine: sqlite

ALTER TABLE credential ADD COLUMN kind TEXT NOT NULL DEFAULT 'nats';

-- engine: postgres

ALTER TABLE credential ADD COLUMN kind TEXT COLLATE "C" NOT NULL DEFAULT 'nats';
