-- name: saw
INSERT INTO carrier_link (carrier, kind, state, detail)
SELECT * FROM unnest(:names::text[], :kinds::text[], :states::text[], :details::text[])
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
  FROM carrier_link AS link LEFT JOIN carrier_owner USING (carrier) WHERE carrier = ANY (:names::text[])

-- name: lock_carrier
SELECT pg_try_advisory_lock(:lock, hashtext(:name))

-- name: end_holder
SELECT count(pg_terminate_backend(pid)) FROM pg_locks, carrier_owner
 WHERE locktype = 'advisory' AND objsubid = 2 AND classid = :lock::bigint::oid
   AND objid = (hashtext(:name)::bigint & 4294967295)::oid AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
   AND carrier = :name AND (epoch = :epoch::bigint OR seen_at < clock_timestamp() - :pause_seconds::float8 * interval '1 second')

-- name: want_carrier
INSERT INTO carrier_owner (carrier, epoch, owner, wanted_by, wanted_at) VALUES (:name, 0, '', :process, now())
ON CONFLICT (carrier) DO UPDATE SET wanted_by = excluded.wanted_by, wanted_at = excluded.wanted_at
RETURNING nullif(owner, '')

-- name: pause_for_carrier
SELECT greatest(0, :seconds::float8 - extract(epoch FROM clock_timestamp() - seen_at))::float8
  FROM carrier_owner WHERE carrier = :name AND seen_at IS NOT NULL

-- name: own_carrier
INSERT INTO carrier_owner (carrier, epoch, owner, seen_at) VALUES (:name, 1, :process, clock_timestamp())
ON CONFLICT (carrier) DO UPDATE
   SET epoch = carrier_owner.epoch + 1, owner = excluded.owner, seen_at = excluded.seen_at
RETURNING epoch

-- name: keep_carrier
UPDATE carrier_owner SET seen_at = clock_timestamp() WHERE carrier = :name AND epoch = :epoch
RETURNING coalesce(wanted_at > now() - interval '10 seconds' AND wanted_by <> owner, false)

-- name: release_carrier
UPDATE carrier_owner SET seen_at = NULL WHERE carrier = :name AND epoch = :epoch
