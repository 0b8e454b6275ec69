-- name: claim
SELECT pg_try_advisory_xact_lock(hashtextextended(:account::bigint || '/' || :mode::key_mode || '/' || :key::text, 0)) AS claimed

-- name: earlier
SELECT fingerprint, answer FROM idempotent_answer
 WHERE account_id = :account AND mode = :mode::key_mode AND key = :key AND created_at > now() - interval '72 hours'

-- name: record
INSERT INTO idempotent_answer (account_id, mode, key, fingerprint, answer) VALUES (:account, :mode::key_mode, :key, :fingerprint, :answer)
ON CONFLICT (account_id, mode, key) DO UPDATE
   SET fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = now()

-- name: queues
-- What waits: seconds that the oldest event has not been taken by fan_out() (events/routines.sql), and deliveries that
-- are due, counted as far as 10,000, with the seconds that the oldest has been.
WITH place AS (SELECT * FROM tail_position WHERE consumer = 'fan_out'), hook AS (
    SELECT endpoint_id FROM webhook_endpoint
     WHERE disabled_at IS NULL AND deleted_at IS NULL AND (paused_until IS NULL OR paused_until <= now())
)
SELECT NOT pg_is_in_recovery() AS writable, pg_database_size(current_database())::float8 AS bytes,
       coalesce((SELECT extract(epoch FROM greatest(clock_timestamp() - event.created_at, '0'))
                   FROM event  -- in the order of its index, so that the first one is all that is read
                  WHERE xact >= (SELECT pg_snapshot_xmin(seen) FROM place)
                    AND NOT pg_visible_in_snapshot(xact, (SELECT seen FROM place))
                    AND ((SELECT upto FROM place) IS NULL OR NOT pg_visible_in_snapshot(xact, (SELECT upto FROM place))
                         OR (xact, event_id) > ((SELECT last_xact FROM place), (SELECT last_event FROM place)))
                  ORDER BY xact, event_id LIMIT 1), 0)::float8 AS untaken_seconds,
       (SELECT count(*) FROM (SELECT FROM hook JOIN webhook_delivery USING (endpoint_id)
                               WHERE state = 'pending' AND next_at <= now() LIMIT 10000) AS waits)::float8 AS due,
       coalesce((SELECT extract(epoch FROM now() - min(first.next_at))
                   FROM hook, LATERAL (SELECT next_at FROM webhook_delivery
                                        WHERE endpoint_id = hook.endpoint_id AND state = 'pending' AND next_at <= now()
                                        ORDER BY next_at LIMIT 1) AS first), 0)::float8 AS due_seconds
