-- name: purchase
SELECT item.place, bought.*
  FROM unnest(await_turn(:countries, :services), :services::text[], :max_micros::bigint[], :operators::text[], :ttls::integer[], :senders::text[], :contains::text[],
              :labels::jsonb[])
       WITH ORDINALITY AS item (country, service, max_micros, operator, ttl, sender, contains, labels, place),
       LATERAL purchase(:account, :key, :test, item.country, item.service, item.max_micros, item.operator, item.ttl, item.sender,
                        item.contains, item.labels, :dry_run, :fee_micros, :carriers, :cancel_waits, :rests, :max_active, :per_hour, :success_floor, :retain_days, :test_max_active, :test_max_any, :test_country_share, :test_per_day) AS bought

-- name: finish
SELECT (done).problem, (done).facts, (done).texts, (done).lease.*, service.slug AS service
  FROM (SELECT finish(:account, :test, :activation, :state::activation_state, :cancels_per_hour) AS done OFFSET 0) AS call
  LEFT JOIN service ON service.service_id = ((done).lease).service_id

-- name: status
SELECT activation_id, account_id, test, state, revision, cancel_after, expires_at,
       CASE WHEN revision > 0 THEN texts_of(activation_id) END AS texts
  FROM activation WHERE activation_id = ANY (:activations::bigint[])

-- name: revisions
SELECT activation_id, revision, ended_at IS NOT NULL AS ended FROM activation WHERE activation_id = ANY (:activations::bigint[])

-- name: one
SELECT activation.*, service.slug AS service, texts_of(activation_id) AS texts,
       (SELECT jsonb_agg(jsonb_build_object('type', type, 'data', data,
                    'at', to_char(event.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) ORDER BY event_id)
          FROM event WHERE event.activation_id = activation.activation_id
                       AND event.created_at >= activation.created_at) AS events,
       (SELECT jsonb_object_agg(revision, reason) FROM message
         WHERE message.activation_id = activation.activation_id AND reason IS NOT NULL) AS reasons,
       nobodys.*, unfinished.*
  FROM activation JOIN service USING (service_id),
       LATERAL (SELECT count(*) AS unmatched, count(*) FILTER (WHERE reason = :kept_back) AS kept_back,
                      count(*) FILTER (WHERE reason = :unnamed) AS unnamed FROM message
                 WHERE message.number_id = activation.number_id AND message.activation_id IS NULL
                   AND message.received_at BETWEEN activation.created_at AND coalesce(activation.ended_at, now())) AS nobodys,
       LATERAL (SELECT jsonb_agg(jsonb_build_object('total', total, 'came', came,
                    'at', to_char(began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) ORDER BY assembly_id) AS parts
                  FROM assembly,
                       LATERAL (SELECT jsonb_agg(number ORDER BY number) AS came FROM assembly_part AS part
                                 WHERE part.assembly_id = assembly.assembly_id AND NOT echo) AS fresh
                 WHERE recipient = e164 AND given_at IS NULL AND came IS NOT NULL
                   AND activation.activation_id = ANY (leases)) AS unfinished
 WHERE activation_id = :activation AND account_id = :account AND test = :test

-- name: list
SELECT activation.*, service.slug AS service, CASE WHEN revision > 0 THEN texts_of(activation_id) END AS texts
  FROM activation JOIN service USING (service_id)
 WHERE account_id = :account AND test = :test AND activation_id < :before
   AND (:state::activation_state IS NULL OR state = :state)
   AND (:service::text IS NULL OR slug = :service)
   AND (:country::text IS NULL OR country = :country)
   AND (:run_id::text IS NULL OR labels ->> 'run_id' = :run_id)
   AND (:labels::jsonb IS NULL OR labels @> :labels)
 ORDER BY activation_id DESC LIMIT :limit

-- name: expire
SELECT expire_due(:limit)

-- name: candidates
SELECT number.e164, number.number_id, shelf.carrier, activation_id, service_id, sender_filter, contains_filter,
       day, retain_days, activation.created_at, proved AND NOT capped AS named_only,
       EXISTS (SELECT FROM frozen_number AS away WHERE away.number_id = number.number_id AND NOT retired) AS frozen
  FROM number JOIN shelf USING (shelf_id) LEFT JOIN activation ON activation.number_id = number.number_id AND activation.ended_at IS NULL
 WHERE number.e164 = ANY (:recipients::text[])

-- name: receive
SELECT * FROM receive(:numbers, :activations, :carriers, :senders, :recipients, :reasons, :fingerprints, :elders, :erased, :elders_erased, :sessions, :identities, :doubtful, :incomplete, :sealed, :keys, :days)

-- name: inbox
-- Those that no lease got, and those that came again.
SELECT message_id, received_at, carrier, sender, recipient, body, code, sealed, key, reason, activation_id, revision,
       incomplete, repeats, repeated_at,
       CASE WHEN activation_id IS NOT NULL THEN 'delivered'
            WHEN reason = 'the lease had ended' THEN 'late' ELSE 'unmatched' END AS outcome
  FROM message LEFT JOIN text_key USING (key_id)
 WHERE (:everything OR activation_id IS NULL OR repeats > 0) AND (:recipient::text IS NULL OR recipient = :recipient)
 ORDER BY message_id DESC LIMIT :limit

-- name: parts_waiting
-- Long texts that are not whole and have not been given to anybody.
SELECT assembly.assembly_id, began_at, carrier, sender, recipient, total, number, alphabet, payload, key_id, key
  FROM (SELECT * FROM assembly
         WHERE given_at IS NULL AND (:recipient::text IS NULL OR recipient = :recipient)
           AND EXISTS (SELECT FROM assembly_part AS part WHERE part.assembly_id = assembly.assembly_id AND NOT echo)
         ORDER BY assembly_id DESC LIMIT :limit) AS assembly
  JOIN assembly_part USING (assembly_id) LEFT JOIN text_key USING (key_id)
 WHERE NOT echo ORDER BY assembly_id DESC, number

-- name: assemble
SELECT * FROM assemble(:carrier, :sender, :recipient, :kind, :reference, :total, :number, :alphabet, :payload, :key, :telling, :known)

-- name: incomplete_text
SELECT * FROM incomplete_text(:seconds * interval '1 second')

-- name: forget_stale_parts
-- What was given stays as long as a part may still complete it; echoes alone are a carrier's repetitions.
DELETE FROM assembly
 WHERE touched_at < now() - interval '30 minutes'
   AND (given_at IS NOT NULL
        OR NOT EXISTS (SELECT FROM assembly_part AS part WHERE part.assembly_id = assembly.assembly_id AND NOT echo))

-- name: repeat_keys
SELECT day, key, xmin IS DISTINCT FROM pg_current_xact_id_if_assigned()::xid AS committed
  FROM repeat_key WHERE day = ANY (:days::date[]) AND key IS NOT NULL

-- name: make_repeat_keys
INSERT INTO repeat_key (day, key) SELECT * FROM unnest(:days::date[], :keys::bytea[]) ORDER BY 1
ON CONFLICT (day) DO UPDATE SET key = excluded.key WHERE repeat_key.key IS NULL

-- name: forget_repeats
-- Carriers repeat for 72 hours, and a lease lasts one at most.
WITH due AS (
    SELECT message_id FROM message WHERE fingerprint IS NOT NULL AND received_at < now() - interval '73 hours'
     ORDER BY received_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
), forgotten AS (
    UPDATE message SET fingerprint = NULL FROM due WHERE message.message_id = due.message_id
)
SELECT count(*) FROM due

-- name: forget_finished_parts
DELETE FROM finished_part WHERE finished_at < now() - interval '73 hours'

-- name: erase_finished_parts
UPDATE finished_part SET fingerprint = sha256(:secret::bytea || fingerprint), erased = true
 WHERE NOT erased AND finished_at < now() - interval '1 hour'

-- A key is used for four days, and what it was used for is looked at for 73 hours more.

-- name: throw_repeat_keys_away
UPDATE repeat_key SET key = NULL WHERE key IS NOT NULL AND (day + 8)::timestamp AT TIME ZONE 'UTC' <= now()

-- name: thrown_repeat_keys
SELECT day FROM repeat_key WHERE key IS NULL

-- name: forget_repeat_keys
DELETE FROM repeat_key WHERE day = ANY (:days::date[]) AND key IS NULL

-- name: erase_of_leases
WITH due AS (
    SELECT activation_id FROM activation WHERE erase_after <= now()
     ORDER BY erase_after LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
), done AS (
    UPDATE activation SET erase_after = NULL FROM due WHERE activation.activation_id = due.activation_id
), erased AS (
    UPDATE message SET body = NULL, code = NULL, sealed = NULL, key_id = NULL, fingerprint = sha256(:secret::bytea || fingerprint)
      FROM due WHERE message.activation_id = due.activation_id
)
SELECT count(*) FROM due

-- name: erase_nobodys
WITH due AS (
    SELECT message_id FROM message WHERE erase_after <= now() ORDER BY erase_after LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
), erased AS (
    UPDATE message SET body = NULL, code = NULL, sealed = NULL, key_id = NULL, fingerprint = sha256(:secret::bytea || fingerprint),
                       erase_after = NULL
      FROM due WHERE message.message_id = due.message_id
)
SELECT count(*) FROM due

-- A lease ends within an hour, so the texts of a day and its leases are all due once this time has come.

-- name: forget_test_leases
-- A lease's events and deliveries go with their days, its use stays counted.
WITH due AS (
    SELECT activation_id FROM activation WHERE test AND ended_at <= now() - make_interval(days => :days)
     ORDER BY ended_at LIMIT :limit FOR UPDATE SKIP LOCKED
), texts AS (
    DELETE FROM message USING due WHERE message.activation_id = due.activation_id
), gone AS (
    DELETE FROM activation USING due WHERE activation.activation_id = due.activation_id
)
SELECT count(*) FROM due

-- What labels were used is kept in sum alone, as ``other``.

-- name: fold_labels
WITH due AS (
    SELECT account_id, test, dimension, day, value FROM usage
     WHERE dimension LIKE 'label.%' AND value <> 'other' AND day < (now() AT TIME ZONE 'UTC')::date - :days::integer
     ORDER BY day LIMIT :limit FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM usage USING due
     WHERE (usage.account_id, usage.test, usage.dimension, usage.day, usage.value)
           = (due.account_id, due.test, due.dimension, due.day, due.value)
    RETURNING usage.*
), folded AS (
    INSERT INTO usage AS so_far (account_id, test, dimension, day, value, leases, received, cancelled, expired, micros)
    SELECT account_id, test, dimension, day, 'other', sum(leases), sum(received), sum(cancelled), sum(expired), sum(micros)
      FROM gone WHERE NOT test GROUP BY account_id, test, dimension, day ORDER BY 1, 2, 3, 4
    ON CONFLICT (account_id, test, dimension, day, value) DO UPDATE
       SET leases = so_far.leases + excluded.leases, received = so_far.received + excluded.received,
           cancelled = so_far.cancelled + excluded.cancelled, expired = so_far.expired + excluded.expired,
           micros = so_far.micros + excluded.micros
)
SELECT count(*) FROM gone

-- name: forget_test_usage
WITH due AS (
    SELECT account_id, test, dimension, day, value FROM usage
     WHERE test AND day < (now() AT TIME ZONE 'UTC')::date - :days::integer
     ORDER BY day LIMIT :limit FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM usage USING due
     WHERE (usage.account_id, usage.test, usage.dimension, usage.day, usage.value)
           = (due.account_id, due.test, due.dimension, due.day, due.value)
)
SELECT count(*) FROM due

-- name: forget_label_days
DELETE FROM label_day WHERE day < (now() AT TIME ZONE 'UTC')::date - 2

-- name: database_bytes
SELECT pg_database_size(current_database())

-- name: elsewhere
-- The countries with most numbers: ten, and the one that has none free may be among them.
SELECT shelf.country, sum(numbers) AS numbers FROM shelf
 WHERE test = :test AND carrier = ANY (:carriers::text[]) GROUP BY country ORDER BY numbers DESC LIMIT 11

-- name: forget_old_answers
DELETE FROM idempotent_answer WHERE created_at < now() - interval '72 hours'

-- name: freeze
UPDATE account SET frozen_at = now(), frozen_reason = :reason WHERE account_id = :account AND frozen_at IS NULL RETURNING account_id

-- name: unfreeze
UPDATE account SET frozen_at = NULL, frozen_reason = NULL WHERE account_id = :account AND frozen_at IS NOT NULL
RETURNING account_id

-- name: end_all_of
SELECT end_all_of(:account)

-- name: end_all_on
SELECT end_at_once(ARRAY(SELECT activation_id FROM activation WHERE number_id = :number AND ended_at IS NULL))

-- name: groups
SELECT country, slug AS service, operator, carrier, buckets, leases
  FROM outcome_groups(:by, :test, date_trunc('hour', now(), 'UTC') - (:hours - 1) * interval '1 hour',
                      (now() AT TIME ZONE 'UTC')::date - (:days - 1), :country, (SELECT service_id FROM service WHERE slug = :service),
                      :operator, :carrier, :least, :limit, :offset) WITH ORDINALITY AS found
  LEFT JOIN service USING (service_id)
 WHERE :service IS NULL OR EXISTS (SELECT FROM service WHERE slug = :service)
 ORDER BY ordinality

-- name: forget_hours
DELETE FROM outcome_hour
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM outcome_hour WHERE hour < now() - :days * interval '1 day'
                          ORDER BY hour LIMIT :limit FOR UPDATE SKIP LOCKED))

-- name: forget_days
DELETE FROM outcome_day
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM outcome_day WHERE day < (now() AT TIME ZONE 'UTC')::date - :days::integer
                          ORDER BY day LIMIT :limit FOR UPDATE SKIP LOCKED))
