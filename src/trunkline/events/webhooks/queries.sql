-- Endpoints ------------------------------------------------------------------------------------------------------------

-- name: lock_account
-- An account's endpoints are made one at a time, so that they stay within their limit.
SELECT FROM account WHERE account_id = :account FOR NO KEY UPDATE

-- name: is_full
-- Whether an account has as many endpoints as it may have, :most. Nothing is locked: create_endpoint counts again.
SELECT count(*) >= :most FROM webhook_endpoint WHERE account_id = :account AND test = :test AND deleted_at IS NULL

-- name: create_endpoint
-- After lock_account, in a statement of its own: it counts what another call has committed.
WITH made AS (
    INSERT INTO webhook_endpoint (account_id, test, url, events, description)
    SELECT :account, :test, :url, :events, :description
     WHERE (SELECT count(*) FROM webhook_endpoint WHERE account_id = :account AND test = :test AND deleted_at IS NULL) < :most
    RETURNING *
), signs AS (
    INSERT INTO webhook_secret (endpoint_id, secret) SELECT endpoint_id, :secret FROM made
)
SELECT * FROM made

-- name: endpoint
SELECT * FROM webhook_endpoint
 WHERE endpoint_id = :endpoint AND deleted_at IS NULL AND (:account::bigint IS NULL OR account_id = :account AND test = :test)

-- name: lock_endpoint
SELECT * FROM webhook_endpoint
 WHERE endpoint_id = :endpoint AND deleted_at IS NULL AND (:account::bigint IS NULL OR account_id = :account AND test = :test)
   FOR NO KEY UPDATE

-- name: endpoints
SELECT * FROM webhook_endpoint
 WHERE account_id = :account AND test = :test AND deleted_at IS NULL AND endpoint_id < :before
 ORDER BY endpoint_id DESC LIMIT :limit

-- name: all_endpoints
SELECT hook.*, email FROM webhook_endpoint AS hook JOIN account USING (account_id)
 WHERE deleted_at IS NULL AND (:account::bigint IS NULL OR account_id = :account) AND endpoint_id < :before
 ORDER BY endpoint_id DESC LIMIT :limit

-- name: change_endpoint
-- At another URL it begins anew, whatever failed at the one before; only what is disabled for that stays so.
UPDATE webhook_endpoint
   SET url = :url, events = :events, description = :description,
       failing_since = CASE WHEN url = :url THEN failing_since END,
       paused_until = CASE WHEN url = :url OR paused_until = 'infinity' THEN paused_until END
 WHERE endpoint_id = :endpoint
RETURNING *

-- name: enable_endpoint
UPDATE webhook_endpoint SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL, paused_until = NULL
 WHERE endpoint_id = :endpoint
RETURNING *

-- name: disable_endpoint
UPDATE webhook_endpoint SET disabled_at = now(), disabled_reason = :reason WHERE endpoint_id = :endpoint AND disabled_at IS NULL
RETURNING *

-- name: live_secrets
SELECT count(*) FROM webhook_secret WHERE endpoint_id = :endpoint AND (expires_at IS NULL OR expires_at > now())

-- name: rotate_secret
-- Those that sign now do so for :overlap_hours hours more at most, and are gone at once where that is 0.
WITH gone AS (
    DELETE FROM webhook_secret WHERE endpoint_id = :endpoint AND (:overlap_hours = 0 OR expires_at <= now())
), going AS (
    UPDATE webhook_secret SET expires_at = least(expires_at, now() + make_interval(hours => :overlap_hours))
     WHERE endpoint_id = :endpoint AND :overlap_hours > 0 AND (expires_at IS NULL OR expires_at > now())
)
INSERT INTO webhook_secret (endpoint_id, secret) VALUES (:endpoint, :secret)

-- name: delete_endpoint
-- After lock_endpoint, in a statement of its own: it sees the secrets that another call has committed.
WITH gone AS (
    DELETE FROM webhook_secret WHERE endpoint_id = :endpoint
)
UPDATE webhook_endpoint SET deleted_at = now() WHERE endpoint_id = :endpoint

-- name: fail_waiting
SELECT fail_waiting(:endpoint, :limit)

-- name: tell_endpoint
-- An event for one endpoint alone.
INSERT INTO event (account_id, test, endpoint_id, type, data) VALUES (:account, :test, :endpoint, :type, :data) RETURNING event_id

-- name: deliveries
SELECT delivery_id, account_id, event_id, event_at, state, attempts, next_at, created_at
  FROM webhook_delivery
 WHERE endpoint_id = :endpoint AND event_id < :before AND (:state::delivery_state IS NULL OR state = :state)
 ORDER BY event_id DESC LIMIT :limit

-- name: failed_deliveries
-- They are few among very many, and have an index of their own.
SELECT delivery_id, account_id, event_id, event_at, state, attempts, next_at, created_at
  FROM webhook_delivery
 WHERE endpoint_id = :endpoint AND event_id < :before AND state = 'failed'
 ORDER BY event_id DESC LIMIT :limit

-- name: attempts
-- The last :limit of each delivery, oldest first.
SELECT attempt.*, text_key.key
  FROM webhook_delivery AS delivery JOIN webhook_attempt AS attempt USING (delivery_id)
  LEFT JOIN text_key USING (key_id)
 WHERE delivery_id = ANY (:deliveries) AND attempt.number > delivery.attempts - :limit
 ORDER BY delivery_id, attempt.number

-- name: replay_event
-- Any event of the account and its mode, but for one that is for another endpoint alone. No row: there is none.
WITH wanted AS (
    SELECT event_id, created_at FROM event
     WHERE account_id = :account AND test = :test AND event_id = :event AND (endpoint_id IS NULL OR endpoint_id = :endpoint)
), anew AS (
    UPDATE webhook_delivery AS delivery
       SET state = 'pending', since = attempts, next_at = now(), ended_at = NULL
      FROM wanted
     WHERE delivery.endpoint_id = :endpoint AND delivery.event_id = wanted.event_id AND state <> 'pending' AND attempts < :most_attempts
    RETURNING delivery.event_id
), made AS (
    INSERT INTO webhook_delivery (endpoint_id, account_id, event_id, event_at)
    SELECT :endpoint, :account, event_id, created_at FROM wanted
    ON CONFLICT (endpoint_id, event_id) DO NOTHING
    RETURNING event_id
)
SELECT (SELECT count(*) FROM anew) + (SELECT count(*) FROM made) AS replayed FROM wanted

-- name: replay_since
-- Oldest first. It looks at :most_looked_at events and sends :most_replayed of them at most, and tells where it stopped; but never within three
-- seconds of where it began, so that whoever goes on from there, cut to the second and a second before, gets further.
WITH looked_at AS MATERIALIZED (
    SELECT event_id, created_at, CASE WHEN endpoint_id IS NULL THEN wants(:events, type) ELSE endpoint_id = :endpoint END AS is_wanted
      FROM event
     WHERE account_id = :account AND test = :test AND created_at >= :since
     ORDER BY event_id LIMIT :most_looked_at + 1
), counted AS (
    SELECT *, row_number() OVER by_age > :most_looked_at
              OR count(*) FILTER (WHERE is_wanted) OVER by_age > :most_replayed AND created_at >= :since + interval '3 s' AS is_beyond
      FROM looked_at WINDOW by_age AS (ORDER BY event_id)
), wanted AS (
    SELECT event_id, created_at FROM counted WHERE is_wanted AND NOT is_beyond
), anew AS (
    UPDATE webhook_delivery AS delivery
       SET state = 'pending', since = attempts, next_at = now(), ended_at = NULL
      FROM wanted
     WHERE delivery.endpoint_id = :endpoint AND delivery.event_id = wanted.event_id AND state <> 'pending' AND attempts < :most_attempts
    RETURNING delivery.event_id
), made AS (
    INSERT INTO webhook_delivery (endpoint_id, account_id, event_id, event_at)
    SELECT :endpoint, :account, event_id, created_at FROM wanted ORDER BY event_id
    ON CONFLICT (endpoint_id, event_id) DO NOTHING
    RETURNING event_id
)
SELECT (SELECT count(*) FROM anew) + (SELECT count(*) FROM made) AS replayed,
       (SELECT created_at FROM counted WHERE is_beyond ORDER BY event_id LIMIT 1) AS stopped_at


-- Deliveries -----------------------------------------------------------------------------------------------------------

-- name: claim
-- What is due at endpoints (:endpoints), at most so many of each (:rooms), for a lease of :lease_seconds seconds; with all that sending needs.
-- Each endpoint is looked at alone, so that what waits for one is never read for another. One that was paused is tried
-- with one at a time until that succeeds.
WITH asked AS MATERIALIZED (
    SELECT hook.endpoint_id, hook.url, hook.paused_until IS NOT NULL AS was_paused,
           CASE WHEN hook.paused_until IS NULL THEN lane.room ELSE 1 END AS room,
           ARRAY(SELECT secret FROM webhook_secret AS key
                  WHERE key.endpoint_id = hook.endpoint_id AND (expires_at IS NULL OR expires_at > now())
                  ORDER BY secret_id DESC) AS secrets
      FROM unnest(:endpoints::bigint[], :rooms::integer[]) AS lane (endpoint_id, room) JOIN webhook_endpoint AS hook USING (endpoint_id)
     WHERE disabled_at IS NULL AND deleted_at IS NULL AND (paused_until IS NULL OR paused_until <= now())
), due AS MATERIALIZED (
    SELECT asked.url, asked.was_paused, asked.secrets, waiting.delivery_id
      FROM asked CROSS JOIN LATERAL (
          SELECT delivery_id FROM webhook_delivery
           WHERE endpoint_id = asked.endpoint_id AND state = 'pending' AND next_at <= now()
           ORDER BY next_at, delivery_id LIMIT asked.room FOR UPDATE SKIP LOCKED) AS waiting
), claimed AS (
    UPDATE webhook_delivery SET next_at = now() + make_interval(secs => :lease_seconds), lease = lease + 1
     WHERE delivery_id = ANY (ARRAY(SELECT delivery_id FROM due))  -- by their keys, however many wait
    RETURNING *
)
SELECT claimed.delivery_id, claimed.endpoint_id, claimed.account_id, claimed.lease, claimed.attempts, claimed.since, due.url, due.was_paused,
       due.secrets, account.retention_days, said.*
  FROM claimed JOIN due USING (delivery_id) JOIN account USING (account_id)
  LEFT JOIN LATERAL contents_of(claimed.account_id, claimed.event_id, claimed.event_at) AS said ON true

-- name: record
SELECT endpoint_id, gone FROM record_attempts(:deliveries, :leases, :succeeded, :again_in, :pauses, :urls, :ages_ms, :durations_ms,
                                             :statuses, :reasons, :addresses, :sealed, :keys, :disable_after_seconds)

-- name: disable_failing
SELECT disable_failing(:endpoint, :reason, :after)

-- name: endpoints_left_behind
-- Those that get nothing more, whatever waits for them: they are deleted, or disabled because they failed. One that its
-- owner or the operator has disabled is sent what waits once it is enabled.
SELECT endpoint_id FROM endpoints_waited_for() JOIN webhook_endpoint USING (endpoint_id)
 WHERE deleted_at IS NOT NULL OR paused_until = 'infinity'

-- name: fail_left_behind
-- :limit of what waits for such an endpoint, at most; how many. None while somebody changes it: it may be enabled then.
SELECT fail_waiting(endpoint_id, :limit)
  FROM (SELECT endpoint_id FROM webhook_endpoint
         WHERE endpoint_id = :endpoint AND (deleted_at IS NOT NULL OR paused_until = 'infinity')
           FOR SHARE SKIP LOCKED) AS left_behind

-- name: fail_without_event
-- Deliveries whose event is kept no longer.
WITH failed AS (
    UPDATE webhook_delivery AS delivery SET state = 'failed', attempts = attempts + 1, lease = delivery.lease + 1, ended_at = now()
      FROM unnest(:deliveries::bigint[], :leases::integer[]) AS claimed (delivery_id, lease)
     WHERE delivery.delivery_id = claimed.delivery_id AND delivery.lease = claimed.lease AND state = 'pending'
    RETURNING delivery.delivery_id, delivery.attempts, delivery.endpoint_id
)
INSERT INTO webhook_attempt (delivery_id, number, url, duration_ms, reason)
SELECT delivery_id, attempts, url, 0, 'The event is kept no longer.' FROM failed JOIN webhook_endpoint USING (endpoint_id)

-- name: give_back
-- Claims that nothing was done with, or that a process which ends gives up.
UPDATE webhook_delivery AS delivery SET next_at = now()
  FROM unnest(:deliveries::bigint[], :leases::integer[]) AS claimed (delivery_id, lease)
 WHERE delivery.delivery_id = claimed.delivery_id AND delivery.lease = claimed.lease AND state = 'pending'

-- name: endpoints_with_something_due
SELECT endpoint_id FROM endpoints_waited_for() JOIN webhook_endpoint USING (endpoint_id)
 WHERE next_at <= now() AND disabled_at IS NULL AND deleted_at IS NULL AND (paused_until IS NULL OR paused_until <= now())

-- name: trim_deliveries
WITH old AS (
    SELECT delivery_id  -- their ids are in the order in which they were made, or nearly so
      FROM (SELECT delivery_id, created_at FROM webhook_delivery ORDER BY delivery_id LIMIT :limit) AS first
     WHERE created_at < now() - make_interval(days => :days)
), gone AS (
    DELETE FROM webhook_delivery AS delivery USING old WHERE delivery.delivery_id = old.delivery_id
)
SELECT count(*) FROM old

-- name: trim_attempts
WITH old AS (
    SELECT delivery_id, number FROM webhook_attempt WHERE at < now() - make_interval(days => :days)
     ORDER BY at LIMIT :limit FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM webhook_attempt AS attempt USING old
     WHERE attempt.delivery_id = old.delivery_id AND attempt.number = old.number
)
SELECT count(*) FROM old
