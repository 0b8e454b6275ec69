-- name: claim
SELECT pg_try_advisory_xact_lock(hashtextextended($1::bigint || '/' || $2::key_mode || '/' || $3::text, 0)) AS claimed

-- name: earlier
SELECT fingerprint, answer FROM idempotent_answer
 WHERE account_id = $1 AND mode = $2::key_mode AND key = $3 AND created_at > now() - interval '72 hours'

-- name: record
INSERT INTO idempotent_answer (account_id, mode, key, fingerprint, answer) VALUES ($1, $2::key_mode, $3, $4, $5)
ON CONFLICT (account_id, mode, key) DO UPDATE
   SET fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = now()
