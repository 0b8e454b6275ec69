-- name: record_act
INSERT INTO audit_entry (actor, account_id, test, action, target, data, address, request_id)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8) RETURNING entry_id

-- When the $3rd newest act of an account's keys was, if within 24 hours.

-- name: act_of_day
SELECT at FROM (SELECT at FROM audit_entry WHERE account_id = $1 AND test = $2 AND actor LIKE 'key:%'
                 ORDER BY entry_id DESC OFFSET $3 - 1 LIMIT 1) AS newest
 WHERE at > now() - interval '1 day'

-- name: acts
SELECT entry_id, at, actor, account_id, test, action, target, data, address, request_id FROM audit_entry
 WHERE ($1::bigint IS NULL OR account_id = $1) AND ($2::text IS NULL OR action = $2) AND entry_id < $3
 ORDER BY entry_id DESC LIMIT $4

-- name: acts_of
SELECT entry_id, at, actor, action, target, data, address, request_id FROM audit_entry
 WHERE account_id = $1 AND test = $2 AND entry_id < $3 AND ($4::text IS NULL OR action = $4)
   AND ($6 OR action NOT LIKE 'webhook.%')
 ORDER BY entry_id DESC LIMIT $5

-- name: pending
SELECT entry_id FROM audit_pending ORDER BY entry_id LIMIT $1

-- name: entries
SELECT entry_id::text, to_jsonb(at AT TIME ZONE 'UTC') #>> '{}' || 'Z' AS at, actor, account_id::text, test::text, action,
       target, data::text, address, request_id
  FROM audit_entry WHERE entry_id = ANY ($1::bigint[]) ORDER BY audit_entry.entry_id

-- name: add_links
INSERT INTO audit_link (position, entry_id, hash) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])

-- name: no_longer_pending
DELETE FROM audit_pending WHERE entry_id = ANY ($1::bigint[])

-- name: last_link
SELECT position, hash FROM audit_link ORDER BY position DESC LIMIT 1

-- name: head
SELECT position, hash, to_jsonb(signed_at AT TIME ZONE 'UTC') #>> '{}' || 'Z' AS signed_at, signature FROM audit_head

-- name: now
SELECT to_jsonb(clock_timestamp() AT TIME ZONE 'UTC') #>> '{}' || 'Z'

-- name: put_head
INSERT INTO audit_head (position, hash, signed_at, signature) VALUES ($1, $2, $3::text::timestamptz, $4)
ON CONFLICT (single) DO UPDATE SET position = $1, hash = $2, signed_at = $3::text::timestamptz, signature = $4

-- name: links
SELECT position, hash, link.entry_id AS linked, entry.entry_id::text,
       to_jsonb(at AT TIME ZONE 'UTC') #>> '{}' || 'Z' AS at, actor, account_id::text, test::text, action,
       target, data::text, address, request_id
  FROM audit_link AS link LEFT JOIN audit_entry AS entry ON entry.entry_id = link.entry_id
 WHERE position > $1 ORDER BY position LIMIT $2

-- name: links_at
SELECT position, hash FROM audit_link WHERE position = ANY ($1::bigint[])

-- name: unlinked
WITH unlinked AS (
    SELECT entry_id, pending.entry_id IS NULL OR entry.at < now() - $1::interval AS off
      FROM audit_entry AS entry LEFT JOIN audit_pending AS pending USING (entry_id)
     WHERE NOT EXISTS (SELECT FROM audit_link AS link WHERE link.entry_id = entry.entry_id)
)
SELECT count(*) AS unlinked, count(*) FILTER (WHERE off) AS off,
       ARRAY(SELECT entry_id FROM unlinked WHERE off ORDER BY entry_id LIMIT $2) AS first
  FROM unlinked

-- name: pending_without_entry
SELECT entry_id FROM audit_pending AS pending
 WHERE NOT EXISTS (SELECT FROM audit_entry AS entry WHERE entry.entry_id = pending.entry_id) ORDER BY entry_id LIMIT $1

-- name: chain_counts
SELECT (SELECT count(*) FROM audit_entry) AS entries, (SELECT count(*) FROM audit_link) AS links
