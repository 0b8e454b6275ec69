-- Every statement of the last release, as the database gets it. Written by `make released`; do not edit.

-- name: accounts:by_email
SELECT account_id, email, currency, per_minute, account_per_minute, burst, frozen_reason, created_at
  FROM account WHERE lower(email) = lower($1);

-- name: accounts:by_id
SELECT account_id, email, currency, per_minute, account_per_minute, burst, created_at
  FROM account WHERE account_id = $1;

-- name: accounts:children_of
WITH RECURSIVE line AS (
    SELECT key_id, rotated_from, account_id FROM api_key WHERE key_id = $1
    UNION
    SELECT elder.key_id, elder.rotated_from, elder.account_id FROM line JOIN api_key AS elder ON elder.key_id = line.rotated_from
), child AS (
    SELECT api_key.key_id, api_key.account_id FROM line JOIN api_key ON api_key.account_id = line.account_id AND created_by = line.key_id
     WHERE api_key.key_id NOT IN (SELECT key_id FROM line)
    UNION
    SELECT young.key_id, young.account_id
      FROM child JOIN api_key AS young ON young.account_id = child.account_id
                                      AND (young.created_by = child.key_id OR young.rotated_from = child.key_id)
)
SELECT key_id FROM child JOIN api_key USING (key_id) WHERE revoked_at IS NULL AND key_id <> $1 ORDER BY key_id;

-- name: accounts:create
WITH made AS (
    INSERT INTO account (email, currency, per_minute) VALUES ($1, $2, $3)
    ON CONFLICT (lower(email)) DO NOTHING RETURNING account_id, currency
), opened AS (
    INSERT INTO balance (account_id, currency) SELECT account_id, currency FROM made
)
SELECT account_id FROM made;

-- name: accounts:create_key
WITH made AS (
    INSERT INTO api_key (account_id, mode, name, secret_hash, scopes, cidrs, expires_at, cap_day_micros, cap_month_micros,
                         created_by, elders)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::bigint,
            coalesce((SELECT elder.elders || elder.key_id FROM api_key AS elder WHERE elder.key_id = $10), '{}')) RETURNING *
), told AS (
    INSERT INTO event (account_id, test, type, data)
    SELECT account_id, mode = 'test', 'key.created', jsonb_build_object('key_id', key_id::text) FROM made
)
SELECT * FROM made;

-- name: accounts:find_key
SELECT key_id, account_id, mode, scopes, per_minute, account_per_minute, burst, cidrs, frozen_reason,
       api_key.cap_day_micros, api_key.cap_month_micros, extract(epoch FROM expires_at)::float8 AS expires
  FROM api_key JOIN account USING (account_id)
 WHERE secret_hash = $1 AND revoked_at IS NULL;

-- name: accounts:find_keys
SELECT key_id, account_id, mode, scopes, per_minute, account_per_minute, burst, cidrs, frozen_reason,
       api_key.cap_day_micros, api_key.cap_month_micros, extract(epoch FROM expires_at)::float8 AS expires
  FROM api_key JOIN account USING (account_id)
 WHERE key_id = ANY ($1::bigint[]) AND revoked_at IS NULL;

-- name: accounts:key
SELECT * FROM api_key WHERE key_id = $1 AND ($2::bigint IS NULL OR account_id = $2 AND mode = $3);

-- name: accounts:keys
SELECT * FROM api_key
 WHERE account_id = $1 AND ($2::key_mode IS NULL OR mode = $2) AND key_id < $3
   AND ($4 OR revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))
 ORDER BY key_id DESC LIMIT $5;

-- name: accounts:keys_so_far
SELECT (SELECT count(*) FROM api_key WHERE account_id = $1 AND mode = $2 AND revoked_at IS NULL AND expires_at IS NULL)
       + (SELECT count(*) FROM api_key WHERE account_id = $1 AND mode = $2 AND revoked_at IS NULL AND expires_at > now()) AS good,
       (SELECT created_at FROM api_key WHERE account_id = $1 AND mode = $2 AND created_at > now() - interval '1 day'
         ORDER BY created_at DESC OFFSET $3 - 1 LIMIT 1) AS of_day;

-- name: accounts:lock_account
SELECT FROM account WHERE account_id = $1 FOR NO KEY UPDATE

-- After lock_account, in a statement of its own. When the :per_day newest key was made, if within 24 hours.;

-- name: accounts:lock_key
SELECT FROM api_key WHERE key_id = $1 FOR NO KEY UPDATE;

-- name: accounts:lock_policy
SELECT max_active, purchases_per_hour, cancels_per_hour, success_floor,
       test_max_active, test_max_any, test_country_share, test_purchases_per_day,
       retention_days, low_balance_micros, cap_day_micros, cap_month_micros
  FROM account WHERE account_id = $1 FOR NO KEY UPDATE;

-- name: accounts:note_uses
-- Locked in one order by all processes.
WITH used AS (
    SELECT key_id, seen.at FROM api_key JOIN unnest($1::bigint[], $2::float8[]) AS seen (key_id, at) USING (key_id)
     ORDER BY key_id FOR NO KEY UPDATE OF api_key
)
UPDATE api_key SET last_used_at = greatest(last_used_at, to_timestamp(used.at)) FROM used
 WHERE api_key.key_id = used.key_id;

-- name: accounts:policy
SELECT max_active, purchases_per_hour, cancels_per_hour, success_floor,
       test_max_active, test_max_any, test_country_share, test_purchases_per_day,
       retention_days, low_balance_micros, cap_day_micros, cap_month_micros
  FROM account WHERE account_id = $1;

-- name: accounts:revoke_key
WITH ended AS (
    UPDATE api_key SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL RETURNING *
), told AS (
    INSERT INTO event (account_id, test, type, data)
    SELECT account_id, mode = 'test', 'key.revoked', jsonb_build_object('key_id', key_id::text) FROM ended
)
SELECT * FROM ended

-- All that a key has made that still works: by itself, by those that it was rotated from, by those that these have made.;

-- name: accounts:rotate_key
-- After lock_key, in a statement of its own: it sees what another rotation has committed.
WITH made AS (
    INSERT INTO api_key (account_id, mode, name, secret_hash, scopes, cidrs, expires_at,
                         cap_day_micros, cap_month_micros, rotated_from, created_by, elders)
    SELECT account_id, mode, name, $1, scopes, cidrs, expires_at, cap_day_micros, cap_month_micros, key_id,
           created_by, elders || key_id
      FROM api_key AS old
     WHERE key_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
       AND NOT EXISTS (SELECT FROM api_key WHERE account_id = old.account_id AND rotated_from = old.key_id)
    RETURNING *
), ended AS (
    UPDATE api_key
       SET expires_at = CASE WHEN $3 > 0 THEN least(api_key.expires_at, now() + make_interval(hours => $3))
                             ELSE api_key.expires_at END,
           revoked_at = CASE WHEN $3 = 0 THEN now() END
      FROM made WHERE api_key.key_id = made.rotated_from
), told AS (
    INSERT INTO event (account_id, test, type, data)
    SELECT account_id, mode = 'test', 'key.rotated',
           jsonb_build_object('key_id', key_id::text, 'rotated_from', rotated_from::text) FROM made
)
SELECT * FROM made;

-- name: accounts:set_limits
UPDATE account
   SET per_minute = coalesce($1, per_minute),
       account_per_minute = nullif(coalesce($2, account_per_minute), 0),
       burst = nullif(coalesce($3, burst), 0)
 WHERE account_id = $4
RETURNING per_minute, account_per_minute, burst;

-- name: accounts:set_policy
UPDATE account
   SET max_active = $1, purchases_per_hour = $2, cancels_per_hour = $3, success_floor = $4,
       test_max_active = $5, test_max_any = $6, test_country_share = $7, test_purchases_per_day = $8,
       retention_days = $9, low_balance_micros = $10, cap_day_micros = $11, cap_month_micros = $12
 WHERE account_id = $13;

-- name: accounts:usage_by
SELECT coalesce(slug, value) AS group, api_key.name, leases, received, cancelled, expired, micros
  FROM (SELECT value, sum(leases)::bigint AS leases, sum(received)::bigint AS received, sum(cancelled)::bigint AS cancelled,
               sum(expired)::bigint AS expired, sum(micros)::bigint AS micros
          FROM usage WHERE account_id = $1 AND test = $2 AND dimension = $3 AND day BETWEEN $4 AND $5
         GROUP BY value ORDER BY micros DESC, leases DESC, value LIMIT $6) AS part
  LEFT JOIN service ON $3 = 'service' AND service_id = CASE WHEN $3 = 'service' THEN value::integer END
  LEFT JOIN api_key ON $3 = 'key' AND key_id = CASE WHEN $3 = 'key' THEN value::bigint END
 ORDER BY micros DESC, leases DESC, 1;

-- name: accounts:usage_by_day
SELECT to_char(day, 'YYYY-MM-DD') AS group, NULL AS name, sum(leases)::bigint AS leases, sum(received)::bigint AS received,
       sum(cancelled)::bigint AS cancelled, sum(expired)::bigint AS expired, sum(micros)::bigint AS micros
  FROM usage WHERE account_id = $1 AND test = $2 AND dimension = 'key' AND day BETWEEN $3 AND $4
 GROUP BY day ORDER BY day;

-- name: accounts:usage_total
SELECT (SELECT currency FROM account WHERE account_id = $1) AS currency,
       coalesce(sum(leases), 0)::bigint AS leases, coalesce(sum(received), 0)::bigint AS received,
       coalesce(sum(cancelled), 0)::bigint AS cancelled, coalesce(sum(expired), 0)::bigint AS expired,
       coalesce(sum(micros), 0)::bigint AS micros
  FROM usage WHERE account_id = $1 AND test = $2 AND dimension = 'key' AND day BETWEEN $3 AND $4;

-- name: activations:assemble
SELECT * FROM assemble($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: activations:candidates
SELECT number.e164, number.number_id, shelf.carrier, activation_id, service_id, sender_filter, contains_filter,
       day, retain_days, activation.created_at, proved AND NOT capped AS named_only,
       EXISTS (SELECT FROM frozen_number AS away WHERE away.number_id = number.number_id AND NOT retired) AS frozen
  FROM number JOIN shelf USING (shelf_id) LEFT JOIN activation ON activation.number_id = number.number_id AND activation.ended_at IS NULL
 WHERE number.e164 = ANY ($1::text[]);

-- name: activations:database_bytes
SELECT pg_database_size(current_database());

-- name: activations:elsewhere
-- The countries with most numbers: ten, and the one that has none free may be among them.
SELECT shelf.country, sum(numbers) AS numbers FROM shelf
 WHERE test = $1 AND carrier = ANY ($2::text[]) GROUP BY country ORDER BY numbers DESC LIMIT 11;

-- name: activations:end_all_of
SELECT end_all_of($1);

-- name: activations:end_all_on
SELECT end_at_once(ARRAY(SELECT activation_id FROM activation WHERE number_id = $1 AND ended_at IS NULL));

-- name: activations:erase_finished_parts
UPDATE finished_part SET fingerprint = sha256($1::bytea || fingerprint), erased = true
 WHERE NOT erased AND finished_at < now() - interval '1 hour'

-- A key is used for four days, and what it was used for is looked at for 73 hours more.;

-- name: activations:erase_nobodys
WITH due AS (
    SELECT message_id FROM message WHERE erase_after <= now() ORDER BY erase_after LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
), erased AS (
    UPDATE message SET body = NULL, code = NULL, sealed = NULL, key_id = NULL, fingerprint = sha256($2::bytea || fingerprint),
                       erase_after = NULL
      FROM due WHERE message.message_id = due.message_id
)
SELECT count(*) FROM due

-- A lease ends within an hour, so the texts of a day and its leases are all due once this time has come.;

-- name: activations:erase_of_leases
WITH due AS (
    SELECT activation_id FROM activation WHERE erase_after <= now()
     ORDER BY erase_after LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
), done AS (
    UPDATE activation SET erase_after = NULL FROM due WHERE activation.activation_id = due.activation_id
), erased AS (
    UPDATE message SET body = NULL, code = NULL, sealed = NULL, key_id = NULL, fingerprint = sha256($2::bytea || fingerprint)
      FROM due WHERE message.activation_id = due.activation_id
)
SELECT count(*) FROM due;

-- name: activations:expire
SELECT expire_due($1);

-- name: activations:finish
SELECT (done).problem, (done).facts, (done).texts, (done).lease.*, service.slug AS service
  FROM (SELECT finish($1, $2, $3, $4::activation_state, $5) AS done OFFSET 0) AS call
  LEFT JOIN service ON service.service_id = ((done).lease).service_id;

-- name: activations:fold_labels
WITH due AS (
    SELECT account_id, test, dimension, day, value FROM usage
     WHERE dimension LIKE 'label.%' AND value <> 'other' AND day < (now() AT TIME ZONE 'UTC')::date - $1::integer
     ORDER BY day LIMIT $2 FOR UPDATE SKIP LOCKED
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
SELECT count(*) FROM gone;

-- name: activations:forget_days
DELETE FROM outcome_day
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM outcome_day WHERE day < (now() AT TIME ZONE 'UTC')::date - $1::integer
                          ORDER BY day LIMIT $2 FOR UPDATE SKIP LOCKED));

-- name: activations:forget_finished_parts
DELETE FROM finished_part WHERE finished_at < now() - interval '73 hours';

-- name: activations:forget_hours
DELETE FROM outcome_hour
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM outcome_hour WHERE hour < now() - $1 * interval '1 day'
                          ORDER BY hour LIMIT $2 FOR UPDATE SKIP LOCKED));

-- name: activations:forget_label_days
DELETE FROM label_day WHERE day < (now() AT TIME ZONE 'UTC')::date - 2;

-- name: activations:forget_old_answers
DELETE FROM idempotent_answer WHERE created_at < now() - interval '72 hours';

-- name: activations:forget_repeat_keys
DELETE FROM repeat_key WHERE day = ANY ($1::date[]) AND key IS NULL;

-- name: activations:forget_repeats
-- Carriers repeat for 72 hours, and a lease lasts one at most.
WITH due AS (
    SELECT message_id FROM message WHERE fingerprint IS NOT NULL AND received_at < now() - interval '73 hours'
     ORDER BY received_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
), forgotten AS (
    UPDATE message SET fingerprint = NULL FROM due WHERE message.message_id = due.message_id
)
SELECT count(*) FROM due;

-- name: activations:forget_stale_parts
-- What was given stays as long as a part may still complete it; echoes alone are a carrier's repetitions.
DELETE FROM assembly
 WHERE touched_at < now() - interval '30 minutes'
   AND (given_at IS NOT NULL
        OR NOT EXISTS (SELECT FROM assembly_part AS part WHERE part.assembly_id = assembly.assembly_id AND NOT echo));

-- name: activations:forget_test_leases
-- A lease's events and deliveries go with their days, its use stays counted.
WITH due AS (
    SELECT activation_id FROM activation WHERE test AND ended_at <= now() - make_interval(days => $1)
     ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED
), texts AS (
    DELETE FROM message USING due WHERE message.activation_id = due.activation_id
), gone AS (
    DELETE FROM activation USING due WHERE activation.activation_id = due.activation_id
)
SELECT count(*) FROM due

-- What labels were used is kept in sum alone, as ``other``.;

-- name: activations:forget_test_usage
WITH due AS (
    SELECT account_id, test, dimension, day, value FROM usage
     WHERE test AND day < (now() AT TIME ZONE 'UTC')::date - $1::integer
     ORDER BY day LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM usage USING due
     WHERE (usage.account_id, usage.test, usage.dimension, usage.day, usage.value)
           = (due.account_id, due.test, due.dimension, due.day, due.value)
)
SELECT count(*) FROM due;

-- name: activations:freeze
UPDATE account SET frozen_at = now(), frozen_reason = $1 WHERE account_id = $2 AND frozen_at IS NULL RETURNING account_id;

-- name: activations:groups
SELECT country, slug AS service, operator, carrier, buckets, leases
  FROM outcome_groups($1, $2, date_trunc('hour', now(), 'UTC') - ($3 - 1) * interval '1 hour',
                      (now() AT TIME ZONE 'UTC')::date - ($4 - 1), $5, (SELECT service_id FROM service WHERE slug = $6),
                      $7, $8, $9, $10, $11) WITH ORDINALITY AS found
  LEFT JOIN service USING (service_id)
 WHERE $6 IS NULL OR EXISTS (SELECT FROM service WHERE slug = $6)
 ORDER BY ordinality;

-- name: activations:inbox
-- Those that no lease got, and those that came again.
SELECT message_id, received_at, carrier, sender, recipient, body, code, sealed, key, reason, activation_id, revision,
       incomplete, repeats, repeated_at,
       CASE WHEN activation_id IS NOT NULL THEN 'delivered'
            WHEN reason = 'the lease had ended' THEN 'late' ELSE 'unmatched' END AS outcome
  FROM message LEFT JOIN text_key USING (key_id)
 WHERE ($1 OR activation_id IS NULL OR repeats > 0) AND ($2::text IS NULL OR recipient = $2)
 ORDER BY message_id DESC LIMIT $3;

-- name: activations:incomplete_text
SELECT * FROM incomplete_text($1 * interval '1 second');

-- name: activations:list
SELECT activation.*, service.slug AS service, CASE WHEN revision > 0 THEN texts_of(activation_id) END AS texts
  FROM activation JOIN service USING (service_id)
 WHERE account_id = $1 AND test = $2 AND activation_id < $3
   AND ($4::activation_state IS NULL OR state = $4)
   AND ($5::text IS NULL OR slug = $5)
   AND ($6::text IS NULL OR country = $6)
   AND ($7::text IS NULL OR labels ->> 'run_id' = $7)
   AND ($8::jsonb IS NULL OR labels @> $8)
 ORDER BY activation_id DESC LIMIT $9;

-- name: activations:make_repeat_keys
INSERT INTO repeat_key (day, key) SELECT * FROM unnest($1::date[], $2::bytea[]) ORDER BY 1
ON CONFLICT (day) DO UPDATE SET key = excluded.key WHERE repeat_key.key IS NULL;

-- name: activations:one
SELECT activation.*, service.slug AS service, texts_of(activation_id) AS texts,
       (SELECT jsonb_agg(jsonb_build_object('type', type, 'data', data,
                    'at', to_char(event.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) ORDER BY event_id)
          FROM event WHERE event.activation_id = activation.activation_id
                       AND event.created_at >= activation.created_at) AS events,
       (SELECT jsonb_object_agg(revision, reason) FROM message
         WHERE message.activation_id = activation.activation_id AND reason IS NOT NULL) AS reasons,
       nobodys.*, unfinished.*
  FROM activation JOIN service USING (service_id),
       LATERAL (SELECT count(*) AS unmatched, count(*) FILTER (WHERE reason = $1) AS kept_back,
                      count(*) FILTER (WHERE reason = $2) AS unnamed FROM message
                 WHERE message.number_id = activation.number_id AND message.activation_id IS NULL
                   AND message.received_at BETWEEN activation.created_at AND coalesce(activation.ended_at, now())) AS nobodys,
       LATERAL (SELECT jsonb_agg(jsonb_build_object('total', total, 'came', came,
                    'at', to_char(began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) ORDER BY assembly_id) AS parts
                  FROM assembly,
                       LATERAL (SELECT jsonb_agg(number ORDER BY number) AS came FROM assembly_part AS part
                                 WHERE part.assembly_id = assembly.assembly_id AND NOT echo) AS fresh
                 WHERE recipient = e164 AND given_at IS NULL AND came IS NOT NULL
                   AND activation.activation_id = ANY (leases)) AS unfinished
 WHERE activation_id = $3 AND account_id = $4 AND test = $5;

-- name: activations:parts_waiting
-- Long texts that are not whole and have not been given to anybody.
SELECT assembly.assembly_id, began_at, carrier, sender, recipient, total, number, alphabet, payload, key_id, key
  FROM (SELECT * FROM assembly
         WHERE given_at IS NULL AND ($1::text IS NULL OR recipient = $1)
           AND EXISTS (SELECT FROM assembly_part AS part WHERE part.assembly_id = assembly.assembly_id AND NOT echo)
         ORDER BY assembly_id DESC LIMIT $2) AS assembly
  JOIN assembly_part USING (assembly_id) LEFT JOIN text_key USING (key_id)
 WHERE NOT echo ORDER BY assembly_id DESC, number;

-- name: activations:purchase
SELECT item.place, bought.*
  FROM unnest(await_turn($1, $2), $2::text[], $3::bigint[], $4::text[], $5::integer[], $6::text[], $7::text[],
              $8::jsonb[])
       WITH ORDINALITY AS item (country, service, max_micros, operator, ttl, sender, contains, labels, place),
       LATERAL purchase($9, $10, $11, item.country, item.service, item.max_micros, item.operator, item.ttl, item.sender,
                        item.contains, item.labels, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24) AS bought;

-- name: activations:receive
SELECT * FROM receive($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17);

-- name: activations:repeat_keys
SELECT day, key, xmin IS DISTINCT FROM pg_current_xact_id_if_assigned()::xid AS committed
  FROM repeat_key WHERE day = ANY ($1::date[]) AND key IS NOT NULL;

-- name: activations:revisions
SELECT activation_id, revision, ended_at IS NOT NULL AS ended FROM activation WHERE activation_id = ANY ($1::bigint[]);

-- name: activations:status
SELECT activation_id, account_id, test, state, revision, cancel_after, expires_at,
       CASE WHEN revision > 0 THEN texts_of(activation_id) END AS texts
  FROM activation WHERE activation_id = ANY ($1::bigint[]);

-- name: activations:throw_repeat_keys_away
UPDATE repeat_key SET key = NULL WHERE key IS NOT NULL AND (day + 8)::timestamp AT TIME ZONE 'UTC' <= now();

-- name: activations:thrown_repeat_keys
SELECT day FROM repeat_key WHERE key IS NULL;

-- name: activations:unfreeze
UPDATE account SET frozen_at = NULL, frozen_reason = NULL WHERE account_id = $1 AND frozen_at IS NOT NULL
RETURNING account_id;

-- name: audit:act_of_day
SELECT at FROM (SELECT at FROM audit_entry WHERE account_id = $1 AND test = $2 AND actor LIKE 'key:%'
                 ORDER BY entry_id DESC OFFSET $3 - 1 LIMIT 1) AS newest
 WHERE at > now() - interval '1 day';

-- name: audit:acts
SELECT entry_id, at, actor, account_id, test, action, target, data, address, request_id FROM audit_entry
 WHERE ($1::bigint IS NULL OR account_id = $1) AND ($2::text IS NULL OR action = $2) AND entry_id < $3
 ORDER BY entry_id DESC LIMIT $4;

-- name: audit:acts_of
SELECT entry_id, at, actor, action, target, data, address, request_id FROM audit_entry
 WHERE account_id = $1 AND test = $2 AND entry_id < $3 AND ($4::text IS NULL OR action = $4)
   AND ($5 OR action NOT LIKE 'webhook.%')
 ORDER BY entry_id DESC LIMIT $6;

-- name: audit:add_links
INSERT INTO audit_link (position, entry_id, hash) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]);

-- name: audit:chain_counts
SELECT (SELECT count(*) FROM audit_entry) AS entries, (SELECT count(*) FROM audit_link) AS links;

-- name: audit:entries
SELECT entry_id::text, to_jsonb(at AT TIME ZONE 'UTC') #>> '{}' || 'Z' AS at, actor, account_id::text, test::text, action,
       target, data::text, address, request_id
  FROM audit_entry WHERE entry_id = ANY ($1::bigint[]) ORDER BY audit_entry.entry_id;

-- name: audit:head
SELECT position, hash, to_jsonb(signed_at AT TIME ZONE 'UTC') #>> '{}' || 'Z' AS signed_at, signature FROM audit_head;

-- name: audit:last_link
SELECT position, hash FROM audit_link ORDER BY position DESC LIMIT 1;

-- name: audit:links
SELECT position, hash, link.entry_id AS linked, entry.entry_id::text,
       to_jsonb(at AT TIME ZONE 'UTC') #>> '{}' || 'Z' AS at, actor, account_id::text, test::text, action,
       target, data::text, address, request_id
  FROM audit_link AS link LEFT JOIN audit_entry AS entry ON entry.entry_id = link.entry_id
 WHERE position > $1 ORDER BY position LIMIT $2;

-- name: audit:links_at
SELECT position, hash FROM audit_link WHERE position = ANY ($1::bigint[]);

-- name: audit:no_longer_pending
DELETE FROM audit_pending WHERE entry_id = ANY ($1::bigint[]);

-- name: audit:now
SELECT to_jsonb(clock_timestamp() AT TIME ZONE 'UTC') #>> '{}' || 'Z';

-- name: audit:pending
SELECT entry_id FROM audit_pending ORDER BY entry_id LIMIT $1;

-- name: audit:pending_without_entry
SELECT entry_id FROM audit_pending AS pending
 WHERE NOT EXISTS (SELECT FROM audit_entry AS entry WHERE entry.entry_id = pending.entry_id) ORDER BY entry_id LIMIT $1;

-- name: audit:put_head
INSERT INTO audit_head (position, hash, signed_at, signature) VALUES ($1, $2, $3::text::timestamptz, $4)
ON CONFLICT (single) DO UPDATE SET position = $1, hash = $2, signed_at = $3::text::timestamptz, signature = $4;

-- name: audit:record_act
INSERT INTO audit_entry (actor, account_id, test, action, target, data, address, request_id)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8) RETURNING entry_id

-- When the :most newest act of an account's keys was, if within 24 hours.;

-- name: audit:unlinked
WITH unlinked AS (
    SELECT entry_id, pending.entry_id IS NULL OR entry.at < now() - $1::interval AS off
      FROM audit_entry AS entry LEFT JOIN audit_pending AS pending USING (entry_id)
     WHERE NOT EXISTS (SELECT FROM audit_link AS link WHERE link.entry_id = entry.entry_id)
)
SELECT count(*) AS unlinked, count(*) FILTER (WHERE off) AS off,
       ARRAY(SELECT entry_id FROM unlinked WHERE off ORDER BY entry_id LIMIT $2) AS first
  FROM unlinked;

-- name: carriers/simulated:due_texts
SELECT simulated_text.*,
       EXISTS (SELECT FROM activation WHERE activation.activation_id = simulated_text.activation_id AND ended_at IS NULL) AS live
  FROM simulated_text WHERE due_at <= now() ORDER BY due_at, simulated_text_id LIMIT $1;

-- name: carriers/simulated:forget_texts
DELETE FROM simulated_text WHERE simulated_text_id = ANY ($1::bigint[]);

-- name: carriers/simulated:text_is_due
SELECT min(due_at) <= now() FROM simulated_text;

-- name: carriers:end_holder
SELECT count(pg_terminate_backend(pid)) FROM pg_locks, carrier_owner
 WHERE locktype = 'advisory' AND objsubid = 2 AND classid = $1::bigint::oid
   AND objid = (hashtext($2)::bigint & 4294967295)::oid AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
   AND carrier = $2 AND (epoch = $3::bigint OR seen_at < clock_timestamp() - $4::float8 * interval '1 second');

-- name: carriers:keep_carrier
UPDATE carrier_owner SET seen_at = clock_timestamp() WHERE carrier = $1 AND epoch = $2
RETURNING coalesce(wanted_at > now() - interval '10 seconds' AND wanted_by <> owner, false);

-- name: carriers:links
SELECT carrier, kind, CASE WHEN link.seen_at > now() - interval '30 seconds' THEN state ELSE 'down' END AS state,
       CASE WHEN link.seen_at > now() - interval '30 seconds' THEN detail ELSE 'no process runs it' END AS detail,
       CASE WHEN carrier_owner.seen_at > now() - interval '30 seconds' THEN owner END AS owner,
       CASE WHEN wanted_at > now() - interval '10 seconds' AND wanted_by <> owner THEN wanted_by END AS standby
  FROM carrier_link AS link LEFT JOIN carrier_owner USING (carrier) WHERE carrier = ANY ($1::text[]);

-- name: carriers:lock_carrier
SELECT pg_try_advisory_lock($1, hashtext($2));

-- name: carriers:own_carrier
INSERT INTO carrier_owner (carrier, epoch, owner, seen_at) VALUES ($1, 1, $2, clock_timestamp())
ON CONFLICT (carrier) DO UPDATE
   SET epoch = carrier_owner.epoch + 1, owner = excluded.owner, seen_at = excluded.seen_at
RETURNING epoch;

-- name: carriers:pause_for_carrier
SELECT greatest(0, $1::float8 - extract(epoch FROM clock_timestamp() - seen_at))::float8
  FROM carrier_owner WHERE carrier = $2 AND seen_at IS NOT NULL;

-- name: carriers:release_carrier
UPDATE carrier_owner SET seen_at = NULL WHERE carrier = $1 AND epoch = $2;

-- name: carriers:saw
INSERT INTO carrier_link (carrier, kind, state, detail)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
ON CONFLICT (carrier) DO UPDATE
   SET kind = excluded.kind, state = excluded.state, detail = excluded.detail, seen_at = now()
 -- Who stands by has a word only where nobody has the link.
 WHERE excluded.state <> 'standby' OR carrier_link.state = 'standby'
    OR carrier_link.seen_at < now() - interval '30 seconds';

-- name: carriers:want_carrier
INSERT INTO carrier_owner (carrier, epoch, owner, wanted_by, wanted_at) VALUES ($1, 0, '', $2, now())
ON CONFLICT (carrier) DO UPDATE SET wanted_by = excluded.wanted_by, wanted_at = excluded.wanted_at
RETURNING nullif(owner, '');

-- name: catalog:alike
SELECT number.e164, shelf.carrier FROM number JOIN shelf USING (shelf_id)
 WHERE number.e164 = ANY ($1::text[])
UNION
SELECT number.e164, shelf.carrier FROM number JOIN shelf USING (shelf_id)
 WHERE right(number.e164, 6) = ANY ($2::text[]) AND shelf.carrier <> 'simulated';

-- name: catalog:all_controls
SELECT email, slug, service_control.domain, method, created_at, proved_at
  FROM service_control JOIN service USING (service_id)
  JOIN (SELECT account_id, email FROM account) AS holder USING (account_id)
 ORDER BY slug, email LIMIT $1;

-- name: catalog:ask_control
WITH asked AS (
    INSERT INTO service_control AS had (account_id, service_id, domain, method, token)
    SELECT $1, service_id, domain, $2, $3 FROM service WHERE slug = $4 AND domain IS NOT NULL
    ON CONFLICT (account_id, service_id) DO UPDATE
       SET method = excluded.method, domain = excluded.domain,
           proved_at = CASE WHEN had.domain = excluded.domain THEN had.proved_at END
    RETURNING *
)
SELECT asked.*, slug AS service FROM service LEFT JOIN asked USING (service_id) WHERE slug = $4 AND NOT magic;

-- name: catalog:busy
SELECT shelf.country, count(*) AS busy FROM slot JOIN shelf USING (shelf_id)
 WHERE service_id = $1 AND open_at > now() AND NOT shelf.test AND shelf.carrier = ANY ($2::text[])
 GROUP BY shelf.country;

-- name: catalog:by_carrier
-- What hangs on each carrier that has numbers: those that can be leased, all of them, and the leases that run.
SELECT carrier, sum(numbers)::bigint AS leasable,
       (SELECT count(*) FROM number WHERE number.shelf_id = ANY (array_agg(shelf.shelf_id))) AS numbers,
       (SELECT count(*) FROM activation WHERE ended_at IS NULL AND activation.carrier = shelf.carrier) AS live
  FROM shelf WHERE NOT test AND carrier <> ALL ($1::text[]) GROUP BY carrier ORDER BY carrier;

-- name: catalog:carriers_of
SELECT number.e164, shelf.carrier FROM number JOIN shelf USING (shelf_id)
 WHERE number.e164 = ANY ($1::text[]) AND NOT shelf.test;

-- name: catalog:control
SELECT service_control.*, slug AS service FROM service_control JOIN service USING (service_id)
 WHERE account_id = $1 AND slug = $2;

-- name: catalog:controls
SELECT service_control.*, slug AS service FROM service_control JOIN service USING (service_id)
 WHERE account_id = $1 ORDER BY slug;

-- name: catalog:drop_tier
DELETE FROM price_tier WHERE from_completed = $1 RETURNING from_completed;

-- name: catalog:freeze
SELECT number_id FROM freeze_number($1, $2) AS frozen (number_id);

-- name: catalog:give_up_control
DELETE FROM service_control USING service
 WHERE account_id = $1 AND slug = $2 AND service.service_id = service_control.service_id
RETURNING service_control.*, slug AS service;

-- name: catalog:has_numbers
SELECT EXISTS (SELECT FROM shelf WHERE carrier = $1);

-- name: catalog:is_service
SELECT EXISTS (SELECT FROM service WHERE slug = $1 AND NOT magic);

-- name: catalog:move
SELECT * FROM move_numbers($1, $2, $3, $4);

-- name: catalog:numbers
SELECT number.number_id, number.e164, shelf.country, shelf.carrier, shelf.operator,
       (SELECT count(*) FROM activation WHERE activation.number_id = number.number_id AND ended_at IS NULL) AS live,
       frozen_number.reason AS frozen, coalesce(frozen_number.retired, false) AS retired
  FROM number JOIN shelf USING (shelf_id) LEFT JOIN frozen_number USING (number_id)
 WHERE number_id > $1 AND NOT test
   AND ($2::text IS NULL OR shelf.carrier = $2) AND ($3::text IS NULL OR shelf.country = $3)
 ORDER BY number_id LIMIT $4;

-- name: catalog:numbers_page
SELECT number.number_id, number.e164 FROM number JOIN shelf USING (shelf_id)
 WHERE NOT shelf.test AND shelf.carrier = $1 AND number_id > $2 ORDER BY number_id LIMIT $3;

-- name: catalog:prices
SELECT service_id, country, currency, price_micros FROM price_rule;

-- name: catalog:prove_control
UPDATE service_control SET proved_at = now() FROM service
 WHERE account_id = $1 AND service_control.service_id = $2 AND token = $3 AND service_control.domain = $4
   AND service.service_id = service_control.service_id
RETURNING service_control.*, slug AS service;

-- name: catalog:put_numbers
SELECT * FROM stock_numbers($1, $2, $3, $4, $5);

-- name: catalog:put_price
INSERT INTO price_rule (service_id, country, currency, price_micros)
VALUES ((SELECT service_id FROM service WHERE slug = $1), $2, $3, $4)
ON CONFLICT (service_id, country, currency) DO UPDATE SET price_micros = excluded.price_micros;

-- name: catalog:put_services
INSERT INTO service (slug, name, domain, senders, aliases)
SELECT slug, name, nullif(domain, ''), coalesce(string_to_array(nullif(senders, ''), ';'), '{}'),
       coalesce(string_to_array(nullif(aliases, ''), ';'), '{}')
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS row (slug, name, domain, senders, aliases)
ON CONFLICT (slug) DO UPDATE
   SET name = excluded.name, domain = excluded.domain, senders = excluded.senders, aliases = excluded.aliases;

-- name: catalog:put_tier
INSERT INTO price_tier (from_completed, percent_off) VALUES ($1, $2)
ON CONFLICT (from_completed) DO UPDATE SET percent_off = excluded.percent_off;

-- name: catalog:remove
SELECT the_number, stays FROM remove_numbers($1);

-- name: catalog:retire
INSERT INTO frozen_number (number_id, reason, retired)
SELECT number_id, $1, true FROM number WHERE e164 = ANY ($2::text[]) ORDER BY number_id
ON CONFLICT DO NOTHING RETURNING number_id;

-- name: catalog:seed_price
INSERT INTO price_rule (service_id, country, currency, price_micros) VALUES (NULL, NULL, $1, $2) ON CONFLICT DO NOTHING;

-- name: catalog:services
-- The :limit that follow a slug.
SELECT service_id, slug, name, domain, senders, aliases, magic FROM service WHERE slug > $1 ORDER BY slug LIMIT $2;

-- name: catalog:stock
SELECT country, sum(numbers)::bigint AS numbers FROM shelf
 WHERE NOT test AND carrier = ANY ($1::text[]) GROUP BY country;

-- name: catalog:switch
INSERT INTO service_switch (service_id, country, enabled)
SELECT service_id, $1, $2 FROM service WHERE slug = $3 AND NOT magic
ON CONFLICT (service_id, country) DO UPDATE SET enabled = excluded.enabled
RETURNING service_id;

-- name: catalog:switches
SELECT slug, country, enabled FROM service_switch JOIN service USING (service_id) ORDER BY slug, country NULLS FIRST;

-- name: catalog:tiers
SELECT from_completed, percent_off FROM price_tier ORDER BY from_completed;

-- name: catalog:unfreeze
SELECT number_id FROM unfreeze_number($1) AS thawed (number_id);

-- name: catalog:version
SELECT version, services FROM catalog_version;

-- name: events/webhooks:all_endpoints
SELECT hook.*, email FROM webhook_endpoint AS hook JOIN account USING (account_id)
 WHERE deleted_at IS NULL AND ($1::bigint IS NULL OR account_id = $1) AND endpoint_id < $2
 ORDER BY endpoint_id DESC LIMIT $3;

-- name: events/webhooks:attempts
-- The last :limit of each delivery, oldest first.
SELECT attempt.*, text_key.key
  FROM webhook_delivery AS delivery JOIN webhook_attempt AS attempt USING (delivery_id)
  LEFT JOIN text_key USING (key_id)
 WHERE delivery_id = ANY ($1) AND attempt.number > delivery.attempts - $2
 ORDER BY delivery_id, attempt.number;

-- name: events/webhooks:change_endpoint
-- At another URL it begins anew, whatever failed at the one before; only what is disabled for that stays so.
UPDATE webhook_endpoint
   SET url = $1, events = $2, description = $3,
       failing_since = CASE WHEN url = $1 THEN failing_since END,
       paused_until = CASE WHEN url = $1 OR paused_until = 'infinity' THEN paused_until END
 WHERE endpoint_id = $4
RETURNING *;

-- name: events/webhooks:claim
-- What is due at endpoints (:endpoints), at most so many of each (:rooms), for a lease of :lease_seconds seconds; with all that sending needs.
-- Each endpoint is looked at alone, so that what waits for one is never read for another. One that was paused is tried
-- with one at a time until that succeeds.
WITH asked AS MATERIALIZED (
    SELECT hook.endpoint_id, hook.url, hook.paused_until IS NOT NULL AS was_paused,
           CASE WHEN hook.paused_until IS NULL THEN lane.room ELSE 1 END AS room,
           ARRAY(SELECT secret FROM webhook_secret AS key
                  WHERE key.endpoint_id = hook.endpoint_id AND (expires_at IS NULL OR expires_at > now())
                  ORDER BY secret_id DESC) AS secrets
      FROM unnest($1::bigint[], $2::integer[]) AS lane (endpoint_id, room) JOIN webhook_endpoint AS hook USING (endpoint_id)
     WHERE disabled_at IS NULL AND deleted_at IS NULL AND (paused_until IS NULL OR paused_until <= now())
), due AS MATERIALIZED (
    SELECT asked.url, asked.was_paused, asked.secrets, waiting.delivery_id
      FROM asked CROSS JOIN LATERAL (
          SELECT delivery_id FROM webhook_delivery
           WHERE endpoint_id = asked.endpoint_id AND state = 'pending' AND next_at <= now()
           ORDER BY next_at, delivery_id LIMIT asked.room FOR UPDATE SKIP LOCKED) AS waiting
), claimed AS (
    UPDATE webhook_delivery SET next_at = now() + make_interval(secs => $3), lease = lease + 1
     WHERE delivery_id = ANY (ARRAY(SELECT delivery_id FROM due))  -- by their keys, however many wait
    RETURNING *
)
SELECT claimed.delivery_id, claimed.endpoint_id, claimed.account_id, claimed.lease, claimed.attempts, claimed.since, due.url, due.was_paused,
       due.secrets, account.retention_days, said.*
  FROM claimed JOIN due USING (delivery_id) JOIN account USING (account_id)
  LEFT JOIN LATERAL contents_of(claimed.account_id, claimed.event_id, claimed.event_at) AS said ON true;

-- name: events/webhooks:create_endpoint
-- After lock_account, in a statement of its own: it counts what another call has committed.
WITH made AS (
    INSERT INTO webhook_endpoint (account_id, test, url, events, description)
    SELECT $1, $2, $3, $4, $5
     WHERE (SELECT count(*) FROM webhook_endpoint WHERE account_id = $1 AND test = $2 AND deleted_at IS NULL) < $6
    RETURNING *
), signs AS (
    INSERT INTO webhook_secret (endpoint_id, secret) SELECT endpoint_id, $7 FROM made
)
SELECT * FROM made;

-- name: events/webhooks:delete_endpoint
-- After lock_endpoint, in a statement of its own: it sees the secrets that another call has committed.
WITH gone AS (
    DELETE FROM webhook_secret WHERE endpoint_id = $1
)
UPDATE webhook_endpoint SET deleted_at = now() WHERE endpoint_id = $1;

-- name: events/webhooks:deliveries
SELECT delivery_id, account_id, event_id, event_at, state, attempts, next_at, created_at
  FROM webhook_delivery
 WHERE endpoint_id = $1 AND event_id < $2 AND ($3::delivery_state IS NULL OR state = $3)
 ORDER BY event_id DESC LIMIT $4;

-- name: events/webhooks:disable_endpoint
UPDATE webhook_endpoint SET disabled_at = now(), disabled_reason = $1 WHERE endpoint_id = $2 AND disabled_at IS NULL
RETURNING *;

-- name: events/webhooks:disable_failing
SELECT disable_failing($1, $2, $3);

-- name: events/webhooks:enable_endpoint
UPDATE webhook_endpoint SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL, paused_until = NULL
 WHERE endpoint_id = $1
RETURNING *;

-- name: events/webhooks:endpoint
SELECT * FROM webhook_endpoint
 WHERE endpoint_id = $1 AND deleted_at IS NULL AND ($2::bigint IS NULL OR account_id = $2 AND test = $3);

-- name: events/webhooks:endpoints
SELECT * FROM webhook_endpoint
 WHERE account_id = $1 AND test = $2 AND deleted_at IS NULL AND endpoint_id < $3
 ORDER BY endpoint_id DESC LIMIT $4;

-- name: events/webhooks:endpoints_left_behind
-- Those that get nothing more, whatever waits for them: they are deleted, or disabled because they failed. One that its
-- owner or the operator has disabled is sent what waits once it is enabled.
SELECT endpoint_id FROM endpoints_waited_for() JOIN webhook_endpoint USING (endpoint_id)
 WHERE deleted_at IS NOT NULL OR paused_until = 'infinity';

-- name: events/webhooks:endpoints_with_something_due
SELECT endpoint_id FROM endpoints_waited_for() JOIN webhook_endpoint USING (endpoint_id)
 WHERE next_at <= now() AND disabled_at IS NULL AND deleted_at IS NULL AND (paused_until IS NULL OR paused_until <= now());

-- name: events/webhooks:fail_left_behind
-- :limit of what waits for such an endpoint, at most; how many. None while somebody changes it: it may be enabled then.
SELECT fail_waiting(endpoint_id, $1)
  FROM (SELECT endpoint_id FROM webhook_endpoint
         WHERE endpoint_id = $2 AND (deleted_at IS NOT NULL OR paused_until = 'infinity')
           FOR SHARE SKIP LOCKED) AS left_behind;

-- name: events/webhooks:fail_waiting
SELECT fail_waiting($1, $2);

-- name: events/webhooks:fail_without_event
-- Deliveries whose event is kept no longer.
WITH failed AS (
    UPDATE webhook_delivery AS delivery SET state = 'failed', attempts = attempts + 1, lease = delivery.lease + 1, ended_at = now()
      FROM unnest($1::bigint[], $2::integer[]) AS claimed (delivery_id, lease)
     WHERE delivery.delivery_id = claimed.delivery_id AND delivery.lease = claimed.lease AND state = 'pending'
    RETURNING delivery.delivery_id, delivery.attempts, delivery.endpoint_id
)
INSERT INTO webhook_attempt (delivery_id, number, url, duration_ms, reason)
SELECT delivery_id, attempts, url, 0, 'The event is kept no longer.' FROM failed JOIN webhook_endpoint USING (endpoint_id);

-- name: events/webhooks:failed_deliveries
-- They are few among very many, and have an index of their own.
SELECT delivery_id, account_id, event_id, event_at, state, attempts, next_at, created_at
  FROM webhook_delivery
 WHERE endpoint_id = $1 AND event_id < $2 AND state = 'failed'
 ORDER BY event_id DESC LIMIT $3;

-- name: events/webhooks:give_back
-- Claims that nothing was done with, or that a process which ends gives up.
UPDATE webhook_delivery AS delivery SET next_at = now()
  FROM unnest($1::bigint[], $2::integer[]) AS claimed (delivery_id, lease)
 WHERE delivery.delivery_id = claimed.delivery_id AND delivery.lease = claimed.lease AND state = 'pending';

-- name: events/webhooks:is_full
-- Whether an account has as many endpoints as it may have, :most. Nothing is locked: create_endpoint counts again.
SELECT count(*) >= $1 FROM webhook_endpoint WHERE account_id = $2 AND test = $3 AND deleted_at IS NULL;

-- name: events/webhooks:live_secrets
SELECT count(*) FROM webhook_secret WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > now());

-- name: events/webhooks:lock_account
-- An account's endpoints are made one at a time, so that they stay within their limit.
SELECT FROM account WHERE account_id = $1 FOR NO KEY UPDATE;

-- name: events/webhooks:lock_endpoint
SELECT * FROM webhook_endpoint
 WHERE endpoint_id = $1 AND deleted_at IS NULL AND ($2::bigint IS NULL OR account_id = $2 AND test = $3)
   FOR NO KEY UPDATE;

-- name: events/webhooks:record
SELECT endpoint_id, gone FROM record_attempts($1, $2, $3, $4, $5, $6, $7, $8,
                                             $9, $10, $11, $12, $13, $14);

-- name: events/webhooks:replay_event
-- Any event of the account and its mode, but for one that is for another endpoint alone. No row: there is none.
WITH wanted AS (
    SELECT event_id, created_at FROM event
     WHERE account_id = $1 AND test = $2 AND event_id = $3 AND (endpoint_id IS NULL OR endpoint_id = $4)
), anew AS (
    UPDATE webhook_delivery AS delivery
       SET state = 'pending', since = attempts, next_at = now(), ended_at = NULL
      FROM wanted
     WHERE delivery.endpoint_id = $4 AND delivery.event_id = wanted.event_id AND state <> 'pending' AND attempts < $5
    RETURNING delivery.event_id
), made AS (
    INSERT INTO webhook_delivery (endpoint_id, account_id, event_id, event_at)
    SELECT $4, $1, event_id, created_at FROM wanted
    ON CONFLICT (endpoint_id, event_id) DO NOTHING
    RETURNING event_id
)
SELECT (SELECT count(*) FROM anew) + (SELECT count(*) FROM made) AS replayed FROM wanted;

-- name: events/webhooks:replay_since
-- Oldest first. It looks at :most_looked_at events and sends :most_replayed of them at most, and tells where it stopped; but never within three
-- seconds of where it began, so that whoever goes on from there, cut to the second and a second before, gets further.
WITH looked_at AS MATERIALIZED (
    SELECT event_id, created_at, CASE WHEN endpoint_id IS NULL THEN wants($1, type) ELSE endpoint_id = $2 END AS is_wanted
      FROM event
     WHERE account_id = $3 AND test = $4 AND created_at >= $5
     ORDER BY event_id LIMIT $6 + 1
), counted AS (
    SELECT *, row_number() OVER by_age > $6
              OR count(*) FILTER (WHERE is_wanted) OVER by_age > $7 AND created_at >= $5 + interval '3 s' AS is_beyond
      FROM looked_at WINDOW by_age AS (ORDER BY event_id)
), wanted AS (
    SELECT event_id, created_at FROM counted WHERE is_wanted AND NOT is_beyond
), anew AS (
    UPDATE webhook_delivery AS delivery
       SET state = 'pending', since = attempts, next_at = now(), ended_at = NULL
      FROM wanted
     WHERE delivery.endpoint_id = $2 AND delivery.event_id = wanted.event_id AND state <> 'pending' AND attempts < $8
    RETURNING delivery.event_id
), made AS (
    INSERT INTO webhook_delivery (endpoint_id, account_id, event_id, event_at)
    SELECT $2, $3, event_id, created_at FROM wanted ORDER BY event_id
    ON CONFLICT (endpoint_id, event_id) DO NOTHING
    RETURNING event_id
)
SELECT (SELECT count(*) FROM anew) + (SELECT count(*) FROM made) AS replayed,
       (SELECT created_at FROM counted WHERE is_beyond ORDER BY event_id LIMIT 1) AS stopped_at


-- Deliveries -----------------------------------------------------------------------------------------------------------;

-- name: events/webhooks:rotate_secret
-- Those that sign now do so for :overlap_hours hours more at most, and are gone at once where that is 0.
WITH gone AS (
    DELETE FROM webhook_secret WHERE endpoint_id = $1 AND ($2 = 0 OR expires_at <= now())
), going AS (
    UPDATE webhook_secret SET expires_at = least(expires_at, now() + make_interval(hours => $2))
     WHERE endpoint_id = $1 AND $2 > 0 AND (expires_at IS NULL OR expires_at > now())
)
INSERT INTO webhook_secret (endpoint_id, secret) VALUES ($1, $3);

-- name: events/webhooks:tell_endpoint
-- An event for one endpoint alone.
INSERT INTO event (account_id, test, endpoint_id, type, data) VALUES ($1, $2, $3, $4, $5) RETURNING event_id;

-- name: events/webhooks:trim_attempts
WITH old AS (
    SELECT delivery_id, number FROM webhook_attempt WHERE at < now() - make_interval(days => $1)
     ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM webhook_attempt AS attempt USING old
     WHERE attempt.delivery_id = old.delivery_id AND attempt.number = old.number
)
SELECT count(*) FROM old;

-- name: events/webhooks:trim_deliveries
WITH old AS (
    SELECT delivery_id  -- their ids are in the order in which they were made, or nearly so
      FROM (SELECT delivery_id, created_at FROM webhook_delivery ORDER BY delivery_id LIMIT $1) AS first
     WHERE created_at < now() - make_interval(days => $2)
), gone AS (
    DELETE FROM webhook_delivery AS delivery USING old WHERE delivery.delivery_id = old.delivery_id
)
SELECT count(*) FROM old;

-- name: events:contents
-- What events say. One that is kept no longer has no row.
SELECT said.* FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS wanted (account_id, event_id, at),
                   contents_of(wanted.account_id, wanted.event_id, wanted.at) AS said;

-- name: events:events_of_account
-- After the id :start, those that may have been told after the event :after, as far as a snapshot shows them.
SELECT account_id, event_id, created_at, type FROM event
 WHERE account_id = $1 AND test = $2 AND event_id > $3 AND event_id <> $4
   AND (event_id > $4 OR NOT pg_visible_in_snapshot(xact, $5::text::pg_snapshot) AND xact <> $6::text::xid8)
   AND endpoint_id IS NULL AND type = ANY ($7::text[]) AND pg_visible_in_snapshot(xact, $8::text::pg_snapshot)
 ORDER BY event_id LIMIT $9;

-- name: events:events_of_lease
-- A lease's events are written one after the other, under the lock of its row: the order of ids is that of commits.
SELECT account_id, event_id, created_at, type FROM event
 WHERE activation_id = $1 AND event_id > $2 AND endpoint_id IS NULL
   AND pg_visible_in_snapshot(xact, $3::text::pg_snapshot)
 ORDER BY event_id LIMIT $4;

-- name: events:fan_out
SELECT taken, endpoints, more FROM fan_out($1);

-- name: events:keep_days
SELECT keep_event_days($1);

-- name: events:latest_event
-- An account's newest event that a snapshot shows.
SELECT event_id FROM event WHERE account_id = $1 AND pg_visible_in_snapshot(xact, $2::text::pg_snapshot)
 ORDER BY event_id DESC LIMIT 1;

-- name: events:lease_to_follow
-- A lease of an account's, and whether more than the event :after is or will be told of it.
SELECT ended_at IS NULL OR EXISTS (SELECT FROM event WHERE event.activation_id = activation.activation_id AND event_id > $1)
       AS goes_on
  FROM activation WHERE activation_id = $2 AND account_id = $3 AND test = $4;

-- name: events:news
-- What was committed after a snapshot :seen, and the snapshot up to which that is all. :clock is what the database's clock showed
-- then: however it has jumped since, days on both sides of it are read. No transaction takes a day.
SELECT at.now_at, at.clock, fresh.*
  FROM (SELECT pg_current_snapshot()::text AS now_at, now() AS clock, $1::text::pg_snapshot AS seen) AS at
  LEFT JOIN LATERAL (
      SELECT event_id, account_id, test, activation_id, endpoint_id, type, created_at FROM event
       WHERE xact >= (SELECT first_unseen($1::text::pg_snapshot, pg_current_snapshot()))
         AND NOT pg_visible_in_snapshot(xact, at.seen)
         AND created_at > least($2::timestamptz, now()) - interval '1 day'
         AND created_at < greatest($2::timestamptz, now()) + interval '1 day'
       ORDER BY event_id LIMIT $3) AS fresh ON true;

-- name: events:now
SELECT pg_current_snapshot()::text AS now_at, now() AS clock;

-- name: events:place_of_event
-- Where to read on after an event: before the smallest id that may have been committed after it. No transaction takes a
-- day, and no two clocks differ by a minute.
SELECT event.horizon::text AS horizon, event.xact::text AS xact, least(event.event_id, late.event_id) - 1 AS start
  FROM event
  LEFT JOIN LATERAL (
      SELECT min(other.event_id) AS event_id FROM event AS other
       WHERE other.account_id = event.account_id AND other.event_id < event.event_id
         AND NOT pg_visible_in_snapshot(other.xact, event.horizon) AND other.xact <> event.xact AND other.created_at > event.created_at - interval '1 day'
         AND other.created_at < event.created_at + interval '1 minute') AS late ON true
 WHERE event.account_id = $1 AND event.event_id = $2;

-- name: ledger:balance
SELECT currency, available_micros, held_micros FROM balance WHERE account_id = $1;

-- name: ledger:balances
SELECT account_id, currency, available_micros, held_micros FROM balance

-- The leases of a range of ids against their transfers: what each day's cost, and the first that are wrong.;

-- name: ledger:begin_deposit
INSERT INTO deposit (account_id, amount_micros, currency, provider, idempotency_key) VALUES ($1, $2, $3, 'stripe', $4)
RETURNING *;

-- name: ledger:completed_this_month
SELECT coalesce(sum(received), 0)::bigint FROM usage
 WHERE account_id = $1 AND NOT test AND dimension = 'key' AND day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date

-- What the transfers before a time did to the balance, a page of them: up to where, and whether that is the end.;

-- name: ledger:credit
INSERT INTO transfer (account_id, kind, debit, credit, amount_micros, currency, act_id)
SELECT account_id, 'credit', 'funding', 'available', $1, currency, $2
  FROM (SELECT account_id, currency FROM balance WHERE account_id = $3 FOR NO KEY UPDATE) AS own;

-- name: ledger:deposit
SELECT * FROM deposit WHERE deposit_id = $1 AND account_id = $2;

-- name: ledger:deposit_begun
SELECT * FROM deposit
 WHERE account_id = $1 AND idempotency_key = $2 AND state <> 'expired' AND created_at > now() - interval '72 hours'
 ORDER BY deposit_id DESC LIMIT 1;

-- name: ledger:deposit_expired
UPDATE deposit SET state = 'expired' WHERE deposit_id = $1;

-- name: ledger:deposit_failed
UPDATE deposit SET state = 'expired' WHERE deposit_id = $1 AND state = 'pending' AND provider_ref IS NULL

-- What a crash left behind before a session was known, and what was never heard of again (slow methods take two weeks).;

-- name: ledger:deposit_of_session
SELECT * FROM deposit WHERE provider = 'stripe' AND provider_ref = $1 FOR NO KEY UPDATE;

-- name: ledger:deposit_opened
UPDATE deposit SET provider_ref = $1, checkout_url = $2 WHERE deposit_id = $3
RETURNING *;

-- name: ledger:deposit_paid
WITH paid AS (
    UPDATE deposit SET state = 'paid', paid_at = now() WHERE deposit_id = $1 RETURNING *
), credited AS (
    INSERT INTO transfer (account_id, kind, debit, credit, amount_micros, currency, deposit_id)
    SELECT account_id, 'credit', 'funding', 'available', amount_micros, currency, deposit_id
      FROM (SELECT paid.* FROM paid JOIN balance USING (account_id) FOR NO KEY UPDATE OF balance) AS own
)
INSERT INTO event (account_id, test, type, data)
SELECT account_id, false, 'deposit.paid',
       jsonb_build_object('deposit_id', deposit_id::text, 'amount_micros', amount_micros, 'currency', currency)
  FROM paid;

-- name: ledger:deposits
SELECT * FROM deposit WHERE account_id = $1 AND deposit_id < $2 ORDER BY deposit_id DESC LIMIT $3;

-- name: ledger:expire_deposits
UPDATE deposit SET state = 'expired'
 WHERE state = 'pending' AND created_at < now() - CASE WHEN provider_ref IS NULL THEN interval '1 hour' ELSE interval '30 days' END;

-- name: ledger:extent
SELECT coalesce((SELECT min(transfer_id) FROM transfer), 0) AS first_transfer,
       coalesce((SELECT max(transfer_id) FROM transfer), -1) AS last_transfer,
       coalesce(least((SELECT min(activation_id) FROM activation), (SELECT min(activation_id) FROM transfer)), 0) AS first_lease,
       coalesce(greatest((SELECT max(activation_id) FROM activation), (SELECT max(activation_id) FROM transfer)), -1) AS last_lease

-- What the transfers of a range of ids did to each book, by account.;

-- name: ledger:last_transfer
SELECT coalesce(max(transfer_id), 0) FROM transfer WHERE account_id = $1

-- One deposit at a time begins for an account, so that a key that is sent twice at once begins one.;

-- name: ledger:leases
SELECT account_id, day, coalesce(sum(held - released) FILTER (WHERE NOT test), 0)::bigint AS micros,
       count(*) FILTER (WHERE revision > 0 AND NOT test) AS completed,
       jsonb_agg(jsonb_build_object(
           'activation_id', activation_id, 'account_id', account_id, 'state', state, 'cost_micros', cost_micros, 'held_micros', held,
           'captured_micros', captured, 'released_micros', released, 'fee_micros', fee)) FILTER (WHERE wrong) AS wrong
  FROM (SELECT activation_id, coalesce(lease.account_id, moved.account_id) AS account_id, test, day, state, revision, cost_micros,
               coalesce(held, 0) AS held, coalesce(captured, 0) AS captured, coalesce(released, 0) AS released, coalesce(fee, 0) AS fee,
               coalesce(held, 0) IS DISTINCT FROM cost_micros
               OR coalesce(captured, 0) <> CASE WHEN revision > 0 THEN cost_micros ELSE 0 END
               OR coalesce(released, 0) <> CASE WHEN state IN ('cancelled', 'expired') THEN cost_micros - fee_micros ELSE 0 END
               OR coalesce(fee, 0) <> CASE WHEN state IN ('cancelled', 'expired') THEN fee_micros ELSE 0 END
               OR refund_micros <> coalesce(released, 0)
               OR test AND moved.activation_id IS NOT NULL
               OR moved.account_id <> lease.account_id OR moved.last_account <> lease.account_id
               OR moved.currency <> lease.currency OR moved.last_currency <> lease.currency AS wrong
          FROM (SELECT * FROM activation WHERE activation_id BETWEEN $1 AND $2) AS lease
          FULL JOIN (SELECT activation_id, min(account_id) AS account_id, max(account_id) AS last_account,
                            min(currency) AS currency, max(currency) AS last_currency,
                            sum(amount_micros) FILTER (WHERE kind = 'hold') AS held,
                            sum(amount_micros) FILTER (WHERE kind = 'capture') AS captured,
                            sum(amount_micros) FILTER (WHERE kind = 'release') AS released,
                            sum(amount_micros) FILTER (WHERE kind = 'fee') AS fee
                       FROM transfer WHERE activation_id BETWEEN $1 AND $2 GROUP BY activation_id) AS moved USING (activation_id)
       ) AS seen
 WHERE NOT coalesce(test, false) OR wrong
 GROUP BY account_id, day

-- What caps, tiers and customers are told was used, by account and day; each lease is counted in three dimensions.;

-- name: ledger:moved
SELECT account_id, currency, count(*) AS transfers,
       sum(change_of('available', debit, credit, amount_micros))::bigint AS available,
       sum(change_of('held', debit, credit, amount_micros))::bigint AS held,
       sum(change_of('revenue', debit, credit, amount_micros))::bigint AS revenue,
       sum(change_of('funding', debit, credit, amount_micros))::bigint AS funding
  FROM transfer WHERE transfer_id BETWEEN $1 AND $2 GROUP BY account_id, currency;

-- name: ledger:opening
WITH page AS (
    SELECT * FROM transfer WHERE account_id = $1 AND transfer_id > $2 ORDER BY transfer_id LIMIT $3
), first AS (
    SELECT min(transfer_id) AS transfer_id FROM page WHERE created_at >= $4
)
SELECT coalesce(sum(change_of('available', debit, credit, amount_micros)), 0)::bigint AS micros,
       coalesce(max(page.transfer_id), $2) AS last, count(*) < $3 AS is_end
  FROM page, first WHERE first.transfer_id IS NULL OR page.transfer_id < first.transfer_id

-- A page of an account's transfers, with what each did to the balance that can be spent.;

-- name: ledger:own_currency
SELECT currency FROM balance WHERE account_id = $1 FOR NO KEY UPDATE;

-- name: ledger:statement
SELECT transfer_id, transfer.created_at, kind, transfer.activation_id, deposit_id, service.slug AS service, country, e164,
       change_of('available', debit, credit, amount_micros) AS micros,
       transfer.currency
  FROM transfer
  LEFT JOIN activation USING (activation_id)
  LEFT JOIN service USING (service_id)
 WHERE transfer.account_id = $1 AND transfer_id > $2 AND transfer_id <= $3 ORDER BY transfer_id LIMIT $4;

-- name: ledger:transfers
SELECT transfer_id, activation_id, deposit_id, kind, change_of('available', debit, credit, amount_micros) AS micros,
       amount_micros, currency, created_at
  FROM transfer
 WHERE account_id = $1 AND transfer_id < $2 ORDER BY transfer_id DESC LIMIT $3;

-- name: ledger:used
SELECT account_id, day, dimension, sum(micros)::bigint AS micros, sum(received)::bigint AS received
  FROM usage WHERE NOT test AND dimension IN ('key', 'service', 'country') GROUP BY account_id, day, dimension

-- Deposits against credits: each that is paid has one of its amount, and each credit of a deposit has that deposit.;

-- name: ledger:wrong_credits
WITH given AS (
    SELECT *, row_number() OVER (PARTITION BY pair ORDER BY transfer_id) AS place
      FROM transfer, LATERAL (SELECT coalesce('act ' || act_id, format('%s %s %s', account_id, currency, amount_micros)) AS pair) AS own
     WHERE kind = 'credit' AND deposit_id IS NULL
), act AS (
    SELECT *, row_number() OVER (PARTITION BY pair ORDER BY entry_id) AS place
      FROM credit_act,
           LATERAL (SELECT CASE WHEN EXISTS (SELECT FROM transfer WHERE act_id = entry_id) THEN 'act ' || entry_id
                                ELSE format('%s %s %s', account_id, currency, amount_micros) END AS pair) AS own
)
SELECT given.transfer_id, act.entry_id AS act_id, coalesce(given.account_id, act.account_id) AS account_id,
       coalesce(given.currency, act.currency) AS currency, coalesce(given.amount_micros, 0) AS credited_micros,
       coalesce(act.amount_micros, 0) AS audited_micros
  FROM given FULL JOIN act USING (pair, place)
 WHERE (given.account_id, given.currency, given.amount_micros) IS DISTINCT FROM (act.account_id, act.currency, act.amount_micros)
 ORDER BY given.transfer_id, act.entry_id LIMIT 100;

-- name: ledger:wrong_deposits
SELECT deposit_id, deposit.account_id, state, deposit.amount_micros, deposit.currency,
       coalesce(credited.amount_micros, 0)::bigint AS credited_micros, coalesce(credits, 0) AS credits
  FROM deposit
  FULL JOIN (SELECT deposit_id, count(*) AS credits, sum(amount_micros)::bigint AS amount_micros,
                    min(account_id) AS account_id, min(currency) AS currency, bool_and(kind = 'credit') AS of_kind
               FROM transfer WHERE deposit_id IS NOT NULL GROUP BY deposit_id) AS credited USING (deposit_id)
 WHERE (state = 'paid') IS DISTINCT FROM (coalesce(credits, 0) = 1)
    OR state = 'paid' AND (deposit.amount_micros, deposit.account_id, deposit.currency, true)
                          IS DISTINCT FROM (credited.amount_micros, credited.account_id, credited.currency, of_kind)
 ORDER BY deposit_id LIMIT 100

-- Credits that are no deposits against the operator's acts, one to one: by the act that a credit names, and those from before
-- credits named one by account, currency and amount, in their order. What is left over on either side is wrong.;

-- name: monitoring:before
-- What was seen last of each component, in the order asked, and what incidents tell of it.
SELECT watched.name, now() AS now, component.state, component.since, component.turned_at, component.checked_at,
       told.open_id, told.told_at
  FROM unnest($1::text[]) WITH ORDINALITY AS watched (name, place)
  LEFT JOIN component USING (name)
  CROSS JOIN LATERAL (
      SELECT max(incident_id) FILTER (WHERE closed_at IS NULL) AS open_id, max(opened_at) AS told_at
        FROM incident WHERE opened_by = 'health' AND components[1] = watched.name) AS told
 ORDER BY place;

-- name: monitoring:close_incident
WITH closed AS (
    UPDATE incident SET closed_at = now() WHERE incident_id = $1 AND closed_at IS NULL RETURNING incident_id
)
INSERT INTO incident_update (incident_id, state, body) SELECT incident_id, 'resolved', $2 FROM closed
RETURNING incident_id;

-- name: monitoring:components
-- As they were last seen, with what is known of :days days. Who delivers webhooks looks, too: nobody looks, nobody delivers.
SELECT component.name,
       CASE WHEN unwatched THEN 'partial_outage' ELSE component.state END AS state,
       CASE WHEN unwatched THEN checked_at ELSE component.since END AS since,
       component.created_at, component.checked_at, known.days, known.up, known.down
  FROM unnest($1::text[]) WITH ORDINALITY AS watched (name, place)
  JOIN component USING (name)
  CROSS JOIN LATERAL (SELECT component.name = 'webhooks' AND checked_at < now() - interval '1 minute' AS unwatched) AS seen
  CROSS JOIN LATERAL (
      SELECT array_agg(day) AS days, array_agg(up_seconds) AS up, array_agg(down_seconds) AS down
        FROM component_day
       WHERE component_day.name = component.name AND day > (now() AT TIME ZONE 'UTC')::date - $2::integer) AS known
 ORDER BY place;

-- name: monitoring:count_seconds
INSERT INTO component_day (name, day, up_seconds, down_seconds)
SELECT * FROM unnest($1::text[], $2::date[], $3::float8[], $4::float8[])
ON CONFLICT (name, day) DO UPDATE
   SET up_seconds = component_day.up_seconds + excluded.up_seconds,
       down_seconds = component_day.down_seconds + excluded.down_seconds;

-- name: monitoring:incidents
-- Open ones first, then the newest: all, those closed since :closed_since, or one. The newest :updates updates of each, newest first.
SELECT incident.*, said.ids, said.states, said.bodies, said.times
  FROM incident
  CROSS JOIN LATERAL (
      SELECT array_agg(update_id) AS ids, array_agg(state) AS states, array_agg(body) AS bodies, array_agg(at) AS times
        FROM (SELECT * FROM incident_update WHERE incident_update.incident_id = incident.incident_id
               ORDER BY update_id DESC LIMIT $1) AS newest) AS said
 WHERE (closed_at IS NULL OR closed_at >= $2::timestamptz) AND ($3::bigint IS NULL OR incident.incident_id = $3)
 ORDER BY closed_at IS NOT NULL, opened_at DESC, incident.incident_id DESC LIMIT $4;

-- name: monitoring:no_longer_watched
-- Open incidents of components that are in the settings no more.
SELECT incident_id, components[1] AS name FROM incident
 WHERE opened_by = 'health' AND closed_at IS NULL AND NOT components[1] = ANY ($1::text[]);

-- name: monitoring:open_incident
WITH opened AS (
    INSERT INTO incident (title, impact, components, opened_by, opened_at)
    VALUES ($1, $2, $3, $4, coalesce($5::timestamptz, now()))
    ON CONFLICT DO NOTHING
    RETURNING incident_id
)
INSERT INTO incident_update (incident_id, state, body) SELECT incident_id, 'investigating', $6 FROM opened
RETURNING incident_id;

-- name: monitoring:queues
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
                                        ORDER BY next_at LIMIT 1) AS first), 0)::float8 AS due_seconds;

-- name: monitoring:saw
INSERT INTO component (name, state, detail, since, turned_at, checked_at)
SELECT seen.*, now()
  FROM unnest($1::text[], $2::component_state[], $3::text[], $4::timestamptz[], $5::timestamptz[]) AS seen
ON CONFLICT (name) DO UPDATE
   SET state = excluded.state, detail = excluded.detail, since = excluded.since, turned_at = excluded.turned_at,
       checked_at = excluded.checked_at;

-- name: monitoring:update_incident
-- Without a state, the last one stays.
INSERT INTO incident_update (incident_id, state, body)
SELECT running.incident_id, coalesce($1, (SELECT state FROM incident_update AS last
                                           WHERE last.incident_id = $2 ORDER BY update_id DESC LIMIT 1)), $3
  FROM (SELECT incident_id FROM incident WHERE incident_id = $2 AND closed_at IS NULL FOR UPDATE) AS running
RETURNING incident_id;

-- name: monitoring:webhooks_behind
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
 WHERE CASE WHEN due_at >= now() - $1::interval THEN due_at <= now()
            ELSE endpoint_id NOT IN (
                SELECT endpoint_id FROM webhook_attempt JOIN webhook_delivery USING (delivery_id)
                 WHERE webhook_attempt.at > now() - $1::interval) END;

-- name: storage:forget_keys
DELETE FROM text_key WHERE key_id = ANY ($1::bigint[]) AND key IS NULL;

-- name: storage:make_text_key
INSERT INTO text_key (day, days, key) VALUES (coalesce($1, current_date), $2, $3)
ON CONFLICT (day, days) DO UPDATE SET key = excluded.key WHERE text_key.key IS NULL;

-- name: storage:text_key
SELECT key_id, key, xmin IS DISTINCT FROM pg_current_xact_id_if_assigned()::xid AS committed
  FROM text_key WHERE day = coalesce($1, current_date) AND days = $2 AND key IS NOT NULL;

-- name: storage:throw_keys_away
UPDATE text_key SET key = NULL
 WHERE key IS NOT NULL AND (day + days + 1 + interval '2 hours') AT TIME ZONE 'UTC' <= now();

-- name: storage:thrown_keys
SELECT key_id FROM text_key WHERE key IS NULL;

-- name: surfaces/http:claim
SELECT pg_try_advisory_xact_lock(hashtextextended($1::bigint || '/' || $2::key_mode || '/' || $3::text, 0)) AS claimed;

-- name: surfaces/http:earlier
SELECT fingerprint, answer FROM idempotent_answer
 WHERE account_id = $1 AND mode = $2::key_mode AND key = $3 AND created_at > now() - interval '72 hours';

-- name: surfaces/http:record
INSERT INTO idempotent_answer (account_id, mode, key, fingerprint, answer) VALUES ($1, $2::key_mode, $3, $4, $5)
ON CONFLICT (account_id, mode, key) DO UPDATE
   SET fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = now();
