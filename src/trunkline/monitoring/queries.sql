-- name: before
-- What was seen last of each component, in the order asked, and what incidents tell of it.
SELECT watched.name, now() AS now, component.state, component.since, component.turned_at, component.checked_at,
       told.open_id, told.told_at
  FROM unnest(:names::text[]) WITH ORDINALITY AS watched (name, place)
  LEFT JOIN component USING (name)
  CROSS JOIN LATERAL (
      SELECT max(incident_id) FILTER (WHERE closed_at IS NULL) AS open_id, max(opened_at) AS told_at
        FROM incident WHERE opened_by = 'health' AND components[1] = watched.name) AS told
 ORDER BY place

-- name: webhooks_behind
-- Seconds since the oldest delivery was due that nobody sends, and since the oldest event that was not taken.
-- An endpoint to which something was sent a moment ago, or that fails, keeps its deliveries waiting by itself.
WITH place AS MATERIALIZED (SELECT * FROM tail_position WHERE consumer = 'fan_out')
SELECT coalesce(extract(epoch FROM now() - min(late.due_at)), 0)::float8 AS due,
       coalesce(extract(epoch FROM now() - (
           SELECT created_at FROM event
            WHERE xact >= pg_snapshot_xmin((SELECT seen FROM place))
              AND NOT pg_visible_in_snapshot(xact, (SELECT seen FROM place))
              AND NOT coalesce(pg_visible_in_snapshot(xact, (SELECT upto FROM place))
                               AND (xact, event_id) <= ((SELECT last_xact FROM place), (SELECT last_event FROM place)), false)
            ORDER BY xact, event_id LIMIT 1)), 0)::float8 AS fan_out
  FROM (SELECT hook.endpoint_id, greatest(oldest.next_at, hook.paused_until, hook.created_at) AS due_at
          FROM webhook_endpoint AS hook
         CROSS JOIN LATERAL (
             SELECT next_at FROM webhook_delivery AS delivery
              WHERE delivery.endpoint_id = hook.endpoint_id AND state = 'pending' AND next_at <= now()
              ORDER BY next_at LIMIT 1) AS oldest
         WHERE hook.disabled_at IS NULL AND hook.deleted_at IS NULL) AS late
 WHERE CASE WHEN due_at >= now() - :late::interval THEN due_at <= now()
            ELSE endpoint_id NOT IN (
                SELECT endpoint_id FROM webhook_attempt JOIN webhook_delivery USING (delivery_id)
                 WHERE webhook_attempt.at > now() - :late::interval) END

-- name: saw
INSERT INTO component (name, state, detail, since, turned_at, checked_at)
SELECT seen.*, now()
  FROM unnest(:names::text[], :states::component_state[], :details::text[], :since::timestamptz[], :turned_at::timestamptz[]) AS seen
ON CONFLICT (name) DO UPDATE
   SET state = excluded.state, detail = excluded.detail, since = excluded.since, turned_at = excluded.turned_at,
       checked_at = excluded.checked_at

-- name: count_seconds
INSERT INTO component_day (name, day, up_seconds, down_seconds)
SELECT * FROM unnest(:names::text[], :days::date[], :up::float8[], :down::float8[])
ON CONFLICT (name, day) DO UPDATE
   SET up_seconds = component_day.up_seconds + excluded.up_seconds,
       down_seconds = component_day.down_seconds + excluded.down_seconds

-- name: no_longer_watched
-- Open incidents of components that are in the settings no more.
SELECT incident_id, components[1] AS name FROM incident
 WHERE opened_by = 'health' AND closed_at IS NULL AND NOT components[1] = ANY (:names::text[])

-- name: open_incident
WITH opened AS (
    INSERT INTO incident (title, impact, components, opened_by, opened_at)
    VALUES (:title, :impact, :components, :opened_by, coalesce(:opened_at::timestamptz, now()))
    ON CONFLICT DO NOTHING
    RETURNING incident_id
)
INSERT INTO incident_update (incident_id, state, body) SELECT incident_id, 'investigating', :text FROM opened
RETURNING incident_id

-- name: update_incident
-- Without a state, the last one stays.
INSERT INTO incident_update (incident_id, state, body)
SELECT running.incident_id, coalesce(:state, (SELECT state FROM incident_update AS last
                                           WHERE last.incident_id = :incident ORDER BY update_id DESC LIMIT 1)), :text
  FROM (SELECT incident_id FROM incident WHERE incident_id = :incident AND closed_at IS NULL FOR UPDATE) AS running
RETURNING incident_id

-- name: close_incident
WITH closed AS (
    UPDATE incident SET closed_at = now() WHERE incident_id = :incident AND closed_at IS NULL RETURNING incident_id
)
INSERT INTO incident_update (incident_id, state, body) SELECT incident_id, 'resolved', :text FROM closed
RETURNING incident_id

-- name: incidents
-- Open ones first, then the newest: all, those closed since :closed_since, or one. The newest :updates updates of each, newest first.
SELECT incident.*, said.ids, said.states, said.bodies, said.times
  FROM incident
  CROSS JOIN LATERAL (
      SELECT array_agg(update_id) AS ids, array_agg(state) AS states, array_agg(body) AS bodies, array_agg(at) AS times
        FROM (SELECT * FROM incident_update WHERE incident_update.incident_id = incident.incident_id
               ORDER BY update_id DESC LIMIT :updates) AS newest) AS said
 WHERE (closed_at IS NULL OR closed_at >= :closed_since::timestamptz) AND (:incident::bigint IS NULL OR incident.incident_id = :incident)
 ORDER BY closed_at IS NOT NULL, opened_at DESC, incident.incident_id DESC LIMIT :limit

-- name: components
-- As they were last seen, with what is known of :days days. Who delivers webhooks looks, too: nobody looks, nobody delivers.
SELECT component.name,
       CASE WHEN unwatched THEN 'partial_outage' ELSE component.state END AS state,
       CASE WHEN unwatched THEN checked_at ELSE component.since END AS since,
       component.created_at, component.checked_at, known.days, known.up, known.down
  FROM unnest(:names::text[]) WITH ORDINALITY AS watched (name, place)
  JOIN component USING (name)
  CROSS JOIN LATERAL (SELECT component.name = 'webhooks' AND checked_at < now() - interval '1 minute' AS unwatched) AS seen
  CROSS JOIN LATERAL (
      SELECT array_agg(day) AS days, array_agg(up_seconds) AS up, array_agg(down_seconds) AS down
        FROM component_day
       WHERE component_day.name = component.name AND day > (now() AT TIME ZONE 'UTC')::date - :days::integer) AS known
 ORDER BY place

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
