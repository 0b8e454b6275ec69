-- name: record_act
INSERT INTO audit_entry (actor, account_id, test, action, target, data, address, request_id)
VALUES (:actor, :account, :test, :action, :target, :data::jsonb, :address, :request) RETURNING entry_id

-- When the :most newest act of an account's keys was, if within 24 hours.

-- name: act_of_day
SELECT at FROM (SELECT at FROM audit_entry WHERE account_id = :account AND test = :test AND actor LIKE 'key:%'
                 ORDER BY entry_id DESC OFFSET :most - 1 LIMIT 1) AS newest
 WHERE at > now() - interval '1 day'

-- name: acts
SELECT entry_id, at, actor, account_id, test, action, target, data, address, request_id FROM audit_entry
 WHERE (:account::bigint IS NULL OR account_id = :account) AND (:action::text IS NULL OR action = :action) AND entry_id < :before
 ORDER BY entry_id DESC LIMIT :limit

-- name: acts_of
SELECT entry_id, at, actor, action, target, data, address, request_id FROM audit_entry
 WHERE account_id = :account AND test = :test AND entry_id < :before AND (:action::text IS NULL OR action = :action)
   AND (:webhooks OR action NOT LIKE 'webhook.%')
 ORDER BY entry_id DESC LIMIT :limit

-- name: pending
SELECT entry_id FROM audit_pending ORDER BY entry_id LIMIT :limit

-- name: entries
SELECT entry_id::text, to_jsonb(at AT TIME ZONE 'UTC') #>> '{}' || 'Z' AS at, actor, account_id::text, test::text, action,
       target, data::text, address, request_id
  FROM audit_entry WHERE entry_id = ANY (:ids::bigint[]) ORDER BY audit_entry.entry_id

-- name: add_links
INSERT INTO audit_link (position, entry_id, hash) SELECT * FROM unnest(:positions::bigint[], :entries::bigint[], :hashes::bytea[])

-- name: no_longer_pending
DELETE FROM audit_pending WHERE entry_id = ANY (:ids::bigint[])

-- name: last_link
SELECT position, hash FROM audit_link ORDER BY position DESC LIMIT 1

-- name: head
SELECT position, hash, to_jsonb(signed_at AT TIME ZONE 'UTC') #>> '{}' || 'Z' AS signed_at, signature FROM audit_head

-- name: now
SELECT to_jsonb(clock_timestamp() AT TIME ZONE 'UTC') #>> '{}' || 'Z'

-- name: put_head
INSERT INTO audit_head (position, hash, signed_at, signature) VALUES (:position, :hash, :signed_at::text::timestamptz, :signature)
ON CONFLICT (single) DO UPDATE SET position = :position, hash = :hash, signed_at = :signed_at::text::timestamptz, signature = :signature

-- name: links
SELECT position, hash, link.entry_id AS linked, entry.entry_id::text,
       to_jsonb(at AT TIME ZONE 'UTC') #>> '{}' || 'Z' AS at, actor, account_id::text, test::text, action,
       target, data::text, address, request_id
  FROM audit_link AS link LEFT JOIN audit_entry AS entry ON entry.entry_id = link.entry_id
 WHERE position > :after ORDER BY position LIMIT :limit

-- name: links_at
SELECT position, hash FROM audit_link WHERE position = ANY (:positions::bigint[])

-- name: unlinked
WITH unlinked AS (
    SELECT entry_id, pending.entry_id IS NULL OR entry.at < now() - :young::interval AS off
      FROM audit_entry AS entry LEFT JOIN audit_pending AS pending USING (entry_id)
     WHERE NOT EXISTS (SELECT FROM audit_link AS link WHERE link.entry_id = entry.entry_id)
)
SELECT count(*) AS unlinked, count(*) FILTER (WHERE off) AS off,
       ARRAY(SELECT entry_id FROM unlinked WHERE off ORDER BY entry_id LIMIT :limit) AS first
  FROM unlinked

-- name: pending_without_entry
SELECT entry_id FROM audit_pending AS pending
 WHERE NOT EXISTS (SELECT FROM audit_entry AS entry WHERE entry.entry_id = pending.entry_id) ORDER BY entry_id LIMIT :limit

-- name: chain_counts
SELECT (SELECT count(*) FROM audit_entry) AS entries, (SELECT count(*) FROM audit_link) AS links
