-- name: now
SELECT pg_current_snapshot()::text AS now_at, now() AS clock

-- name: news
-- What was committed after a snapshot :seen, and the snapshot up to which that is all. :clock is what the database's clock showed
-- then: however it has jumped since, days on both sides of it are read. No transaction takes a day.
SELECT at.now_at, at.clock, fresh.*
  FROM (SELECT pg_current_snapshot()::text AS now_at, now() AS clock, :seen::text::pg_snapshot AS seen) AS at
  LEFT JOIN LATERAL (
      SELECT event_id, account_id, test, activation_id, endpoint_id, type, created_at FROM event
       WHERE xact >= (SELECT first_unseen(:seen::text::pg_snapshot, pg_current_snapshot()))
         AND NOT pg_visible_in_snapshot(xact, at.seen)
         AND created_at > least(:clock::timestamptz, now()) - interval '1 day'
         AND created_at < greatest(:clock::timestamptz, now()) + interval '1 day'
       ORDER BY event_id LIMIT :limit) AS fresh ON true

-- name: fan_out
SELECT taken, endpoints, more FROM fan_out(:limit)

-- name: keep_days
SELECT keep_event_days(:days)

-- name: contents
-- What events say. One that is kept no longer has no row.
SELECT said.* FROM unnest(:accounts::bigint[], :events::bigint[], :moments::timestamptz[]) AS wanted (account_id, event_id, at),
                   contents_of(wanted.account_id, wanted.event_id, wanted.at) AS said

-- name: latest_event
-- An account's newest event that a snapshot shows.
SELECT event_id FROM event WHERE account_id = :account AND pg_visible_in_snapshot(xact, :seen::text::pg_snapshot)
 ORDER BY event_id DESC LIMIT 1

-- name: place_of_event
-- Where to read on after an event: before the smallest id that may have been committed after it. No transaction takes a
-- day, and no two clocks differ by a minute.
SELECT event.horizon::text AS horizon, event.xact::text AS xact, least(event.event_id, late.event_id) - 1 AS start
  FROM event
  LEFT JOIN LATERAL (
      SELECT min(other.event_id) AS event_id FROM event AS other
       WHERE other.account_id = event.account_id AND other.event_id < event.event_id
         AND NOT pg_visible_in_snapshot(other.xact, event.horizon) AND other.xact <> event.xact AND other.created_at > event.created_at - interval '1 day'
         AND other.created_at < event.created_at + interval '1 minute') AS late ON true
 WHERE event.account_id = :account AND event.event_id = :event

-- name: events_of_account
-- After the id :start, those that may have been told after the event :after, as far as a snapshot shows them.
SELECT account_id, event_id, created_at, type FROM event
 WHERE account_id = :account AND test = :test AND event_id > :start AND event_id <> :after
   AND (event_id > :after OR NOT pg_visible_in_snapshot(xact, :horizon::text::pg_snapshot) AND xact <> :xact::text::xid8)
   AND endpoint_id IS NULL AND type = ANY (:types::text[]) AND pg_visible_in_snapshot(xact, :seen::text::pg_snapshot)
 ORDER BY event_id LIMIT :limit

-- name: events_of_lease
-- A lease's events are written one after the other, under the lock of its row: the order of ids is that of commits.
SELECT account_id, event_id, created_at, type FROM event
 WHERE activation_id = :activation AND event_id > :start AND endpoint_id IS NULL
   AND pg_visible_in_snapshot(xact, :seen::text::pg_snapshot)
 ORDER BY event_id LIMIT :limit

-- name: lease_to_follow
-- A lease of an account's, and whether more than the event :after is or will be told of it.
SELECT ended_at IS NULL OR EXISTS (SELECT FROM event WHERE event.activation_id = activation.activation_id AND event_id > :after)
       AS goes_on
  FROM activation WHERE activation_id = :activation AND account_id = :account AND test = :test
