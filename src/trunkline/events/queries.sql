-- name: now
SELECT pg_current_snapshot()::text

-- name: news
-- What was committed after a snapshot, and the snapshot up to which that is all.
SELECT at.now_at, fresh.*
  FROM (SELECT pg_current_snapshot()::text AS now_at, $1::text::pg_snapshot AS seen) AS at
  LEFT JOIN LATERAL (
      SELECT event_id, account_id, test, activation_id, endpoint_id, type, created_at FROM event
       WHERE xact >= pg_snapshot_xmin($1::text::pg_snapshot) AND NOT pg_visible_in_snapshot(xact, at.seen)
         AND created_at > now() - interval '1 day' AND created_at < now() + interval '1 day'
       ORDER BY event_id LIMIT $2) AS fresh ON true

-- name: fan_out
SELECT taken, endpoints FROM fan_out($1)

-- name: keep_days
SELECT keep_event_days($1)

-- name: contents
-- What events say, with the lease and the text that they are about.
SELECT event.event_id, event.account_id, event.test, event.type, event.data, event.created_at,
       lease.activation_id, lease.e164, lease.country, service.slug AS service, lease.cost_micros, lease.refund_micros,
       lease.currency, lease.labels, message.revision, message.sender, message.received_at, message.code, message.body,
       message.sealed, text_key.key
  FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS wanted (account_id, event_id, at)
  JOIN event ON event.account_id = wanted.account_id AND event.event_id = wanted.event_id AND event.created_at = wanted.at
  LEFT JOIN activation AS lease ON lease.activation_id = event.activation_id
  LEFT JOIN service ON service.service_id = lease.service_id
  LEFT JOIN message ON event.type = 'sms.received' AND message.activation_id = event.activation_id
                   AND message.revision = (event.data ->> 'revision')::integer
  LEFT JOIN text_key ON text_key.key_id = message.key_id
