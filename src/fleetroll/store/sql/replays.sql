-- replay_get: the stored answer to an idempotent request
SELECT fingerprint, status, headers, body, at FROM replay WHERE org = :org AND api_key = :key AND name = :name;

-- replay_put: an answer
INSERT INTO replay (org, api_key, name, fingerprint, status, headers, body, at)
VALUES (:org, :key, :name, :fingerprint, :status, :headers, :body, :at)
ON CONFLICT (org, api_key, name) DO UPDATE SET
    fingerprint = :fingerprint, status = :status, headers = :headers, body = :body, at = :at;

-- replay_purge: all tenants, by age, some of them
DELETE FROM replay WHERE (org, api_key, name) IN (
    SELECT org, api_key, name FROM replay WHERE at < :before ORDER BY at LIMIT :limit
) RETURNING at;
