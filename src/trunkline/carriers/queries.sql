-- name: saw
INSERT INTO carrier_link (carrier, kind, state, detail)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
ON CONFLICT (carrier) DO UPDATE
   SET kind = excluded.kind, state = excluded.state, detail = excluded.detail, seen_at = now()
 -- Who stands by has a word only where nobody has the link.
 WHERE excluded.state <> 'standby' OR carrier_link.state = 'standby'
    OR carrier_link.seen_at < now() - interval '30 seconds'

-- name: links
SELECT carrier, kind, CASE WHEN link.seen_at > now() - interval '30 seconds' THEN state ELSE 'down' END AS state,
       CASE WHEN link.seen_at > now() - interval '30 seconds' THEN detail ELSE 'no process runs it' END AS detail,
       CASE WHEN carrier_owner.seen_at > now() - interval '30 seconds' THEN owner END AS owner,
       CASE WHEN wanted_at > now() - interval '10 seconds' AND wanted_by <> owner THEN wanted_by END AS standby
  FROM carrier_link AS link LEFT JOIN carrier_owner USING (carrier) WHERE carrier = ANY ($1::text[])

-- name: lock_carrier
SELECT pg_try_advisory_lock($1, hashtext($2))

-- name: end_holder
SELECT count(pg_terminate_backend(pid)) FROM pg_locks, carrier_owner
 WHERE locktype = 'advisory' AND objsubid = 2 AND classid = $1::bigint::oid
   AND objid = (hashtext($2)::bigint & 4294967295)::oid AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
   AND carrier = $2 AND (epoch = $3::bigint OR seen_at < clock_timestamp() - $4::float8 * interval '1 second')

-- name: want_carrier
INSERT INTO carrier_owner (carrier, epoch, owner, wanted_by, wanted_at) VALUES ($1, 0, '', $2, now())
ON CONFLICT (carrier) DO UPDATE SET wanted_by = excluded.wanted_by, wanted_at = excluded.wanted_at
RETURNING nullif(owner, '')

-- name: pause_for_carrier
SELECT greatest(0, $2::float8 - extract(epoch FROM clock_timestamp() - seen_at))::float8
  FROM carrier_owner WHERE carrier = $1 AND seen_at IS NOT NULL

-- name: own_carrier
INSERT INTO carrier_owner (carrier, epoch, owner, seen_at) VALUES ($1, 1, $2, clock_timestamp())
ON CONFLICT (carrier) DO UPDATE
   SET epoch = carrier_owner.epoch + 1, owner = excluded.owner, seen_at = excluded.seen_at
RETURNING epoch

-- name: keep_carrier
UPDATE carrier_owner SET seen_at = clock_timestamp() WHERE carrier = $1 AND epoch = $2
RETURNING coalesce(wanted_at > now() - interval '10 seconds' AND wanted_by <> owner, false)

-- name: release_carrier
UPDATE carrier_owner SET seen_at = NULL WHERE carrier = $1 AND epoch = $2
