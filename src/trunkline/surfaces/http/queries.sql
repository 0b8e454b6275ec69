-- name: claim
SELECT pg_try_advisory_xact_lock(hashtextextended(:account::bigint || '/' || :mode::key_mode || '/' || :key::text, 0)) AS claimed

-- name: earlier
SELECT fingerprint, answer FROM idempotent_answer
 WHERE account_id = :account AND mode = :mode::key_mode AND key = :key AND created_at > now() - interval '72 hours'

-- name: record
INSERT INTO idempotent_answer (account_id, mode, key, fingerprint, answer) VALUES (:account, :mode::key_mode, :key, :fingerprint, :answer)
ON CONFLICT (account_id, mode, key) DO UPDATE
   SET fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = now()
