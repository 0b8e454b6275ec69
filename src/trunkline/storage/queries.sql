-- name: text_key
SELECT key_id, key, xmin IS DISTINCT FROM pg_current_xact_id_if_assigned()::xid AS committed
  FROM text_key WHERE day = coalesce($1, current_date) AND days = $2 AND key IS NOT NULL

-- name: make_text_key
INSERT INTO text_key (day, days, key) VALUES (coalesce($1, current_date), $2, $3)
ON CONFLICT (day, days) DO UPDATE SET key = excluded.key WHERE text_key.key IS NULL

-- name: throw_keys_away
UPDATE text_key SET key = NULL
 WHERE key IS NOT NULL AND (day + days + 1 + interval '2 hours') AT TIME ZONE 'UTC' <= now()

-- name: thrown_keys
SELECT key_id FROM text_key WHERE key IS NULL

-- name: forget_keys
DELETE FROM text_key WHERE key_id = ANY ($1::bigint[]) AND key IS NULL
