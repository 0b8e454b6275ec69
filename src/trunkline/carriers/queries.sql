-- name: saw
INSERT INTO carrier_link (carrier, kind, state, detail)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
ON CONFLICT (carrier) DO UPDATE
   SET kind = excluded.kind, state = excluded.state, detail = excluded.detail, seen_at = now()

-- name: links
SELECT carrier, kind, CASE WHEN seen_at > now() - interval '30 seconds' THEN state ELSE 'down' END AS state,
       CASE WHEN seen_at > now() - interval '30 seconds' THEN detail ELSE 'no process runs it' END AS detail
  FROM carrier_link WHERE carrier = ANY ($1::text[])

-- name: text_is_due
SELECT min(due_at) <= now() FROM simulated_text

-- name: due_texts
SELECT simulated_text.*,
       EXISTS (SELECT FROM activation WHERE activation.activation_id = simulated_text.activation_id AND ended_at IS NULL) AS live
  FROM simulated_text WHERE due_at <= now() ORDER BY due_at, simulated_text_id LIMIT $1

-- name: forget_texts
DELETE FROM simulated_text WHERE simulated_text_id = ANY ($1::bigint[])
