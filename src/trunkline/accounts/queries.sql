-- name: create
WITH made AS (
    INSERT INTO account (email, currency, per_minute) VALUES ($1, $2, $3)
    ON CONFLICT (lower(email)) DO NOTHING RETURNING account_id, currency
), opened AS (
    INSERT INTO balance (account_id, currency) SELECT account_id, currency FROM made
)
SELECT account_id FROM made

-- name: add_key
INSERT INTO api_key (account_id, mode, name, secret_hash, scopes) VALUES ($1, $2, $3, $4, $5) RETURNING key_id

-- name: by_email
SELECT account_id, email, currency, per_minute, created_at FROM account WHERE lower(email) = lower($1)

-- name: by_id
SELECT account_id, email, currency, per_minute, created_at FROM account WHERE account_id = $1

-- name: set_limit
UPDATE account SET per_minute = $2 WHERE account_id = $1

-- name: find_key
SELECT key_id, account_id, mode, scopes, per_minute, account_per_minute, burst, cidrs, frozen_reason,
       extract(epoch FROM expires_at)::float8 AS expires
  FROM api_key JOIN account USING (account_id)
 WHERE secret_hash = $1 AND revoked_at IS NULL
