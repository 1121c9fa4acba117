-- token_get: an access token
SELECT expires_at FROM oauth_token WHERE org = :org AND api_key = :key AND digest = :digest AND refreshes = false;

-- token_insert: a new token
INSERT INTO oauth_token (org, api_key, digest, refreshes, expires_at)
VALUES (:org, :key, :digest, :refreshes, :expires_at);

-- token_take: a refresh token, once
DELETE FROM oauth_token WHERE org = :org AND api_key = :key AND digest = :digest AND refreshes = true
RETURNING expires_at;

-- token_purge: those of a key that expired
DELETE FROM oauth_token WHERE org = :org AND api_key = :key AND expires_at < :before;

-- token_count: those that a key has
SELECT count(*) FROM oauth_token WHERE org = :org AND api_key = :key;

-- token_end: all of a key
DELETE FROM oauth_token WHERE org = :org AND api_key = :key;

-- token_forget: with the organization
DELETE FROM oauth_token WHERE org = :org;
