-- name: text_key
SELECT key_id, key, xmin IS DISTINCT FROM pg_current_xact_id_if_assigned()::xid AS committed
  FROM text_key WHERE day = coalesce(:day, current_date) AND days = :days AND key IS NOT NULL

-- name: make_text_key
INSERT INTO text_key (day, days, key) VALUES (coalesce(:day, current_date), :days, :key)
ON CONFLICT (day, days) DO UPDATE SET key = excluded.key WHERE text_key.key IS NULL

-- name: throw_keys_away
UPDATE text_key SET key = NULL
 WHERE key IS NOT NULL AND (day + days + 1 + interval '2 hours') AT TIME ZONE 'UTC' <= now()

-- name: thrown_keys
SELECT key_id FROM text_key WHERE key IS NULL

-- name: forget_keys
DELETE FROM text_key WHERE key_id = ANY (:keys::bigint[]) AND key IS NULL
