-- name: create
WITH made AS (
    INSERT INTO account (email, currency, per_minute) VALUES (:email, :currency, :per_minute)
    ON CONFLICT (lower(email)) DO NOTHING RETURNING account_id, currency
), opened AS (
    INSERT INTO balance (account_id, currency) SELECT account_id, currency FROM made
)
SELECT account_id FROM made

-- name: lock_account
SELECT FROM account WHERE account_id = :account FOR NO KEY UPDATE

-- After lock_account, in a statement of its own. When the :per_day newest key was made, if within 24 hours.
-- name: keys_so_far
SELECT (SELECT count(*) FROM api_key WHERE account_id = :account AND mode = :mode AND revoked_at IS NULL AND expires_at IS NULL)
       + (SELECT count(*) FROM api_key WHERE account_id = :account AND mode = :mode AND revoked_at IS NULL AND expires_at > now()) AS good,
       (SELECT created_at FROM api_key WHERE account_id = :account AND mode = :mode AND created_at > now() - interval '1 day'
         ORDER BY created_at DESC OFFSET :per_day - 1 LIMIT 1) AS of_day

-- name: create_key
WITH made AS (
    INSERT INTO api_key (account_id, mode, name, secret_hash, scopes, cidrs, expires_at, cap_day_micros, cap_month_micros,
                         created_by, elders)
    VALUES (:account, :mode, :name, :secret_hash, :scopes, :cidrs, :expires_at, :cap_day_micros, :cap_month_micros, :made_by::bigint,
            coalesce((SELECT elder.elders || elder.key_id FROM api_key AS elder WHERE elder.key_id = :made_by), '{}')) RETURNING *
), told AS (
    INSERT INTO event (account_id, test, type, data)
    SELECT account_id, mode = 'test', 'key.created', jsonb_build_object('key_id', key_id::text) FROM made
)
SELECT * FROM made

-- name: key
SELECT * FROM api_key WHERE key_id = :key AND (:account::bigint IS NULL OR account_id = :account AND mode = :mode)

-- name: keys
SELECT * FROM api_key
 WHERE account_id = :account AND (:mode::key_mode IS NULL OR mode = :mode) AND key_id < :before
   AND (:ended OR revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))
 ORDER BY key_id DESC LIMIT :limit

-- name: lock_key
SELECT FROM api_key WHERE key_id = :key FOR NO KEY UPDATE

-- name: rotate_key
-- After lock_key, in a statement of its own: it sees what another rotation has committed.
WITH made AS (
    INSERT INTO api_key (account_id, mode, name, secret_hash, scopes, cidrs, expires_at,
                         cap_day_micros, cap_month_micros, rotated_from, created_by, elders)
    SELECT account_id, mode, name, :secret_hash, scopes, cidrs, expires_at, cap_day_micros, cap_month_micros, key_id,
           created_by, elders || key_id
      FROM api_key AS old
     WHERE key_id = :key AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
       AND NOT EXISTS (SELECT FROM api_key WHERE account_id = old.account_id AND rotated_from = old.key_id)
    RETURNING *
), ended AS (
    UPDATE api_key
       SET expires_at = CASE WHEN :overlap_hours > 0 THEN least(api_key.expires_at, now() + make_interval(hours => :overlap_hours))
                             ELSE api_key.expires_at END,
           revoked_at = CASE WHEN :overlap_hours = 0 THEN now() END
      FROM made WHERE api_key.key_id = made.rotated_from
), told AS (
    INSERT INTO event (account_id, test, type, data)
    SELECT account_id, mode = 'test', 'key.rotated',
           jsonb_build_object('key_id', key_id::text, 'rotated_from', rotated_from::text) FROM made
)
SELECT * FROM made

-- name: revoke_key
WITH ended AS (
    UPDATE api_key SET revoked_at = now() WHERE key_id = :key AND revoked_at IS NULL RETURNING *
), told AS (
    INSERT INTO event (account_id, test, type, data)
    SELECT account_id, mode = 'test', 'key.revoked', jsonb_build_object('key_id', key_id::text) FROM ended
)
SELECT * FROM ended

-- All that a key has made that still works: by itself, by those that it was rotated from, by those that these have made.
-- name: children_of
WITH RECURSIVE line AS (
    SELECT key_id, rotated_from, account_id FROM api_key WHERE key_id = :key
    UNION
    SELECT elder.key_id, elder.rotated_from, elder.account_id FROM line JOIN api_key AS elder ON elder.key_id = line.rotated_from
), child AS (
    SELECT api_key.key_id, api_key.account_id FROM line JOIN api_key ON api_key.account_id = line.account_id AND created_by = line.key_id
     WHERE api_key.key_id NOT IN (SELECT key_id FROM line)
    UNION
    SELECT young.key_id, young.account_id
      FROM child JOIN api_key AS young ON young.account_id = child.account_id
                                      AND (young.created_by = child.key_id OR young.rotated_from = child.key_id)
)
SELECT key_id FROM child JOIN api_key USING (key_id) WHERE revoked_at IS NULL AND key_id <> :key ORDER BY key_id

-- name: note_uses
-- Locked in one order by all processes.
WITH used AS (
    SELECT key_id, seen.at FROM api_key JOIN unnest(:keys::bigint[], :seen::float8[]) AS seen (key_id, at) USING (key_id)
     ORDER BY key_id FOR NO KEY UPDATE OF api_key
)
UPDATE api_key SET last_used_at = greatest(last_used_at, to_timestamp(used.at)) FROM used
 WHERE api_key.key_id = used.key_id

-- name: by_email
SELECT account_id, email, currency, per_minute, account_per_minute, burst, frozen_reason, created_at
  FROM account WHERE lower(email) = lower(:email)

-- name: by_id
SELECT account_id, email, currency, per_minute, account_per_minute, burst, created_at
  FROM account WHERE account_id = :account

-- name: set_limits
UPDATE account
   SET per_minute = coalesce(:per_minute, per_minute),
       account_per_minute = nullif(coalesce(:account_per_minute, account_per_minute), 0),
       burst = nullif(coalesce(:burst, burst), 0)
 WHERE account_id = :account
RETURNING per_minute, account_per_minute, burst

-- name: find_key
SELECT key_id, account_id, mode, scopes, per_minute, account_per_minute, burst, cidrs, frozen_reason,
       api_key.cap_day_micros, api_key.cap_month_micros, extract(epoch FROM expires_at)::float8 AS expires
  FROM api_key JOIN account USING (account_id)
 WHERE secret_hash = :secret_hash AND revoked_at IS NULL

-- name: find_keys
SELECT key_id, account_id, mode, scopes, per_minute, account_per_minute, burst, cidrs, frozen_reason,
       api_key.cap_day_micros, api_key.cap_month_micros, extract(epoch FROM expires_at)::float8 AS expires
  FROM api_key JOIN account USING (account_id)
 WHERE key_id = ANY (:keys::bigint[]) AND revoked_at IS NULL

-- name: usage_total
SELECT (SELECT currency FROM account WHERE account_id = :account) AS currency,
       coalesce(sum(leases), 0)::bigint AS leases, coalesce(sum(received), 0)::bigint AS received,
       coalesce(sum(cancelled), 0)::bigint AS cancelled, coalesce(sum(expired), 0)::bigint AS expired,
       coalesce(sum(micros), 0)::bigint AS micros
  FROM usage WHERE account_id = :account AND test = :test AND dimension = 'key' AND day BETWEEN :first AND :last

-- name: usage_by_day
SELECT to_char(day, 'YYYY-MM-DD') AS group, NULL AS name, sum(leases)::bigint AS leases, sum(received)::bigint AS received,
       sum(cancelled)::bigint AS cancelled, sum(expired)::bigint AS expired, sum(micros)::bigint AS micros
  FROM usage WHERE account_id = :account AND test = :test AND dimension = 'key' AND day BETWEEN :first AND :last
 GROUP BY day ORDER BY day

-- name: usage_by
SELECT coalesce(slug, value) AS group, api_key.name, leases, received, cancelled, expired, micros
  FROM (SELECT value, sum(leases)::bigint AS leases, sum(received)::bigint AS received, sum(cancelled)::bigint AS cancelled,
               sum(expired)::bigint AS expired, sum(micros)::bigint AS micros
          FROM usage WHERE account_id = :account AND test = :test AND dimension = :dimension AND day BETWEEN :first AND :last
         GROUP BY value ORDER BY micros DESC, leases DESC, value LIMIT :limit) AS part
  LEFT JOIN service ON :dimension = 'service' AND service_id = CASE WHEN :dimension = 'service' AND value ~ '^\d+$' THEN value::integer END
  LEFT JOIN api_key ON :dimension = 'key' AND key_id = CASE WHEN :dimension = 'key' THEN value::bigint END
 ORDER BY micros DESC, leases DESC, 1

-- name: policy
SELECT max_active, purchases_per_hour, cancels_per_hour, success_floor,
       test_max_active, test_max_any, test_country_share, test_purchases_per_day,
       retention_days, low_balance_micros, cap_day_micros, cap_month_micros
  FROM account WHERE account_id = :account

-- name: lock_policy
SELECT max_active, purchases_per_hour, cancels_per_hour, success_floor,
       test_max_active, test_max_any, test_country_share, test_purchases_per_day,
       retention_days, low_balance_micros, cap_day_micros, cap_month_micros
  FROM account WHERE account_id = :account FOR NO KEY UPDATE

-- name: set_policy
UPDATE account
   SET max_active = :max_active, purchases_per_hour = :purchases_per_hour, cancels_per_hour = :cancels_per_hour, success_floor = :success_floor,
       test_max_active = :test_max_active, test_max_any = :test_max_any, test_country_share = :test_country_share, test_purchases_per_day = :test_purchases_per_day,
       retention_days = :retention_days, low_balance_micros = :low_balance_micros, cap_day_micros = :cap_day_micros, cap_month_micros = :cap_month_micros
 WHERE account_id = :account
