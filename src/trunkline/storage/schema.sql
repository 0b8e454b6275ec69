-- What the migrations and the routines make. Written by `python -m tests.storage.snapshot`; do not edit.
CREATE TYPE public.activation_state AS ENUM (
    'waiting',
    'received',
    'completed',
    'cancelled',
    'expired'
);

CREATE TYPE public.book AS ENUM (
    'funding',
    'available',
    'held',
    'revenue'
);

CREATE TYPE public.component_state AS ENUM (
    'operational',
    'degraded_performance',
    'partial_outage',
    'major_outage'
);

CREATE TYPE public.delivery_state AS ENUM (
    'pending',
    'delivered',
    'failed'
);

CREATE TYPE public.deposit_state AS ENUM (
    'pending',
    'paid',
    'expired'
);

CREATE TYPE public.key_mode AS ENUM (
    'live',
    'test'
);

CREATE TYPE public.transfer_kind AS ENUM (
    'credit',
    'hold',
    'capture',
    'release',
    'fee'
);

CREATE TYPE public.used AS (
	account_id bigint,
	test boolean,
	key_id bigint,
	service_id integer,
	country text,
	day date,
	labels jsonb,
	leases integer,
	received integer,
	cancelled integer,
	expired integer,
	micros bigint
);

CREATE FUNCTION public.assemble(p_carrier text, p_sender text, p_recipient text, p_kind text, p_reference integer, p_total smallint, p_number smallint, p_alphabet text, p_payload bytea, p_key bigint, p_telling boolean, p_known bytea[]) RETURNS TABLE(number smallint, alphabet text, payload bytea, key_id bigint, key bytea, began_at timestamp with time zone)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    live bigint[] := leases_on(p_recipient);
    kept assembly;
    had assembly_part;
    finished timestamptz;
    had_it bigint[];  -- the texts that are finished and have this part
    is_foreign boolean := false;
BEGIN
    SELECT min(finished_at), coalesce(array_agg(DISTINCT assembly_id), '{}') INTO finished, had_it FROM finished_part
     WHERE fingerprint = ANY (p_known) AND finished_at > now() - interval '73 hours';
    IF finished IS NOT NULL THEN
        is_foreign := NOT coalesce((SELECT count(*) = 1 AND min(created_at) <= finished FROM activation
                                     WHERE activation_id = ANY (live)), false);
    END IF;
    LOOP
        INSERT INTO assembly (carrier, sender, recipient, kind, reference, total, leases)
             VALUES (p_carrier, p_sender, p_recipient, p_kind, p_reference, p_total, live)
        ON CONFLICT (carrier, sender, recipient, kind, reference, total) WHERE NOT closed DO UPDATE SET touched_at = now()
          RETURNING * INTO kept;
        SELECT * INTO had FROM assembly_part
         WHERE assembly_id = kept.assembly_id AND number = p_number AND echo = (finished IS NOT NULL);
        EXIT WHEN kept.leases = live AND kept.began_at > now() - interval '30 minutes'
              AND (had.assembly_id IS NULL OR had.echo OR had.fingerprint = ANY (p_known));
        -- Another text's: an elder one, or references have come round and this one is another's under the same.
        PERFORM close_assembly(kept.assembly_id);
    END LOOP;
    INSERT INTO assembly_part (assembly_id, number, alphabet, payload, key_id, echo, echo_of, foreign_echo, telling,
                               fingerprint, stored_at)
         VALUES (kept.assembly_id, p_number, p_alphabet, p_payload, p_key, finished IS NOT NULL, had_it, is_foreign,
                 p_telling, p_known[1], clock_timestamp())
    ON CONFLICT (assembly_id, number, echo) DO UPDATE
       SET alphabet = excluded.alphabet, payload = excluded.payload, key_id = excluded.key_id,
           echo_of = excluded.echo_of, foreign_echo = excluded.foreign_echo, telling = excluded.telling, fingerprint = excluded.fingerprint,
           stored_at = excluded.stored_at, used = false
     WHERE assembly_part.echo;
    IF had.assembly_id IS NULL AND finished IS NULL THEN
        UPDATE assembly SET given_at = NULL WHERE assembly_id = kept.assembly_id AND given_at IS NOT NULL;
    END IF;
    RETURN QUERY SELECT * FROM take_parts(kept.assembly_id, ARRAY(SELECT whole_parts(kept.assembly_id, p_total, false)));
END $$;

CREATE FUNCTION public.await_link() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO audit_pending (entry_id) SELECT entry_id FROM written;
    RETURN NULL;
END $$;

CREATE FUNCTION public.await_turn(p_countries text[], p_services text[]) RETURNS text[]
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF cardinality(p_countries) > 1 THEN
        PERFORM pg_advisory_xact_lock(-1 - turn.service_id, turn.place)
           FROM (SELECT DISTINCT service_id, hashtext(country) AS place
                   FROM unnest(p_countries, p_services) AS item (country, slug) JOIN service USING (slug)
                  ORDER BY service_id, place) AS turn;
    END IF;
    RETURN p_countries;
END $$;

CREATE TABLE public.account (
    account_id bigint NOT NULL,
    email text NOT NULL,
    currency text NOT NULL,
    per_minute integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    account_per_minute integer,
    burst integer,
    frozen_at timestamp with time zone,
    frozen_reason text,
    max_active integer,
    purchases_per_hour integer,
    cancels_per_hour integer,
    success_floor numeric(4,3),
    retention_days smallint,
    low_balance_micros bigint,
    cap_day_micros bigint,
    cap_month_micros bigint,
    test_max_active integer,
    test_max_any integer,
    test_country_share numeric(4,3),
    test_purchases_per_day integer,
    CONSTRAINT account_account_per_minute_check CHECK (((account_per_minute >= 1) AND (account_per_minute <= 10000000))),
    CONSTRAINT account_burst_check CHECK (((burst >= 1) AND (burst <= 10000000))),
    CONSTRAINT account_cancels_per_hour_check CHECK ((cancels_per_hour >= 0)),
    CONSTRAINT account_cap_day_micros_check CHECK ((cap_day_micros >= 0)),
    CONSTRAINT account_cap_month_micros_check CHECK ((cap_month_micros >= 0)),
    CONSTRAINT account_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT account_email_check CHECK (((email ~ '^[^@\s]+@[^@\s]+$'::text) AND (length(email) <= 254))),
    CONSTRAINT account_frozen CHECK (((frozen_at IS NULL) = (frozen_reason IS NULL))),
    CONSTRAINT account_low_balance_micros_check CHECK ((low_balance_micros >= 0)),
    CONSTRAINT account_max_active_check CHECK ((max_active >= 0)),
    CONSTRAINT account_per_minute_check CHECK (((per_minute >= 1) AND (per_minute <= 10000000))),
    CONSTRAINT account_purchases_per_hour_check CHECK ((purchases_per_hour >= 0)),
    CONSTRAINT account_retention_days_check CHECK (((retention_days >= 0) AND (retention_days <= 30))),
    CONSTRAINT account_success_floor_check CHECK (((success_floor >= (0)::numeric) AND (success_floor <= (1)::numeric))),
    CONSTRAINT account_test_country_share_check CHECK (((test_country_share >= (0)::numeric) AND (test_country_share <= (1)::numeric))),
    CONSTRAINT account_test_max_active_check CHECK ((test_max_active >= 0)),
    CONSTRAINT account_test_max_any_check CHECK ((test_max_any >= 0)),
    CONSTRAINT account_test_purchases_per_day_check CHECK ((test_purchases_per_day >= 0))
);

CREATE FUNCTION public.capped_because(p_account public.account, p_max_active integer, p_per_hour integer, p_floor numeric, p_proved boolean, OUT problem text, OUT facts jsonb) RETURNS record
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    most_active integer := coalesce(p_account.max_active, p_max_active);
    most_bought integer := coalesce(p_account.purchases_per_hour, p_per_hour);
    lowest numeric := coalesce(p_account.success_floor, p_floor);
    recent record;
BEGIN
    SELECT count(*) FILTER (WHERE ended_at IS NULL) AS active, min(expires_at) FILTER (WHERE ended_at IS NULL) AS next_end,
           count(*) FILTER (WHERE created_at > now() - interval '1 hour') AS bought
      INTO recent FROM activation
     WHERE account_id = p_account.account_id AND capped AND (p_proved OR NOT proved)
       AND created_at > now() - interval '2 hours';
    IF recent.active >= most_active THEN
        problem := 'too_many_active';
        facts := jsonb_build_object('limit', most_active, 'retry_at', recent.next_end);
        RETURN;
    END IF;
    IF recent.bought >= most_bought THEN
        problem := 'too_many_purchases';
        facts := jsonb_build_object('limit', most_bought, 'retry_at',
            (SELECT created_at + interval '1 hour' FROM activation
              WHERE account_id = p_account.account_id AND capped AND (p_proved OR NOT proved)
                AND created_at > now() - interval '1 hour'
              ORDER BY created_at DESC OFFSET greatest(most_bought - 1, 0) LIMIT 1));
        RETURN;
    END IF;
    IF lowest > 0 THEN
        SELECT count(*) AS ended, avg((revision > 0)::integer) AS share, min(created_at) + interval '1 day' AS forgotten
          INTO recent
          FROM (SELECT revision, created_at FROM activation
                 WHERE account_id = p_account.account_id AND capped AND (p_proved OR NOT proved) AND ended_at IS NOT NULL
                   AND created_at > now() - interval '1 day' ORDER BY created_at DESC LIMIT 50) AS last;
        IF recent.ended >= 10 AND recent.share < lowest THEN
            problem := 'success_rate_too_low';
            facts := jsonb_build_object('floor', lowest, 'success_rate', round(recent.share, 3));
        END IF;
    END IF;
END $$;

CREATE FUNCTION public.change_of(p_book public.book, p_debit public.book, p_credit public.book, p_micros bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE p_book WHEN p_credit THEN p_micros WHEN p_debit THEN -p_micros ELSE 0 END
$$;

CREATE FUNCTION public.close_assembly(p_assembly bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO finished_part (fingerprint, assembly_id)
    SELECT fingerprint, assembly_id FROM assembly_part WHERE assembly_id = p_assembly AND NOT echo AND fingerprint IS NOT NULL;
    UPDATE assembly SET closed = true WHERE assembly_id = p_assembly
$$;

CREATE FUNCTION public.contents_of(p_account bigint, p_event bigint, p_at timestamp with time zone) RETURNS TABLE(event_id bigint, type text, data jsonb, created_at timestamp with time zone, activation_id bigint, e164 text, country text, service text, cost_micros bigint, refund_micros bigint, currency text, labels jsonb, revision integer, sender text, received_at timestamp with time zone, incomplete boolean, code text, body text, sealed bytea, key bytea)
    LANGUAGE sql STABLE
    AS $$
    SELECT event.event_id, event.type, event.data, event.created_at, lease.activation_id, lease.e164, lease.country,
           service.slug, lease.cost_micros, lease.refund_micros, lease.currency, lease.labels, message.revision,
           message.sender, message.received_at, message.incomplete, message.code, message.body, message.sealed, text_key.key
      FROM event
      LEFT JOIN activation AS lease ON lease.activation_id = event.activation_id
      LEFT JOIN service ON service.service_id = lease.service_id
      LEFT JOIN message ON event.type = 'sms.received' AND message.activation_id = event.activation_id
                       AND message.revision = (event.data ->> 'revision')::integer
      LEFT JOIN text_key ON text_key.key_id = message.key_id
     WHERE event.account_id = p_account AND event.event_id = p_event AND event.created_at = p_at
       AND (event.activation_id IS NULL OR lease.activation_id IS NOT NULL)  -- a test lease is kept less long
     LIMIT 1
$$;

CREATE FUNCTION public.count_away() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE shelf SET numbers = numbers + change.count
      FROM (SELECT shelf_id, CASE TG_OP WHEN 'DELETE' THEN count(*) ELSE -count(*) END AS count
              FROM changed JOIN number USING (number_id) GROUP BY shelf_id) AS change
     WHERE change.shelf_id = shelf.shelf_id;
    RETURN NULL;
END $$;

CREATE FUNCTION public.count_catalog_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE catalog_version SET version = version + 1, services = services + (TG_TABLE_NAME = 'service')::integer;
    RETURN NULL;
END $$;

CREATE FUNCTION public.count_numbers() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        UPDATE shelf SET numbers = numbers + more.count
          FROM (SELECT shelf_id, count(*) FROM new_rows
                 WHERE NOT EXISTS (SELECT FROM frozen_number AS away WHERE away.number_id = new_rows.number_id)
                 GROUP BY shelf_id) AS more WHERE more.shelf_id = shelf.shelf_id;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        UPDATE shelf SET numbers = numbers - less.count
          FROM (SELECT shelf_id, count(*) FROM old_rows
                 WHERE NOT EXISTS (SELECT FROM frozen_number AS away WHERE away.number_id = old_rows.number_id)
                 GROUP BY shelf_id) AS less WHERE less.shelf_id = shelf.shelf_id;
    END IF;
    RETURN NULL;
END $$;

CREATE TABLE public.event (
    event_id bigint CONSTRAINT event_event_id_not_null1 NOT NULL,
    xact xid8 DEFAULT pg_current_xact_id() CONSTRAINT event_xact_not_null1 NOT NULL,
    horizon pg_snapshot DEFAULT pg_current_snapshot() NOT NULL,
    account_id bigint CONSTRAINT event_account_id_not_null1 NOT NULL,
    test boolean CONSTRAINT event_test_not_null1 NOT NULL,
    activation_id bigint,
    endpoint_id bigint,
    type text CONSTRAINT event_type_not_null1 NOT NULL,
    data jsonb DEFAULT '{}'::jsonb CONSTRAINT event_data_not_null1 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT event_created_at_not_null1 NOT NULL
)
PARTITION BY RANGE (created_at);

CREATE FUNCTION public.count_outcomes(p_events public.event[]) RETURNS void
    LANGUAGE sql
    AS $$
    WITH outcome AS (
        SELECT fresh.created_at AS at, lease.test, lease.country, lease.service_id,
               coalesce(shelf.operator, '') AS operator, lease.carrier,
               CASE WHEN fresh.type = 'sms.received'
                    THEN text_seconds_bucket(extract(epoch FROM fresh.created_at - lease.created_at)::double precision)
                    ELSE -1::smallint END AS bucket
          FROM unnest(p_events) AS fresh JOIN activation AS lease USING (activation_id)
          LEFT JOIN number USING (number_id) LEFT JOIN shelf USING (shelf_id)
         WHERE fresh.endpoint_id IS NULL
           AND (fresh.type IN ('activation.cancelled', 'activation.expired')
                OR fresh.type = 'sms.received' AND fresh.data ->> 'revision' = '1')
    ), by_hour AS (
        INSERT INTO outcome_hour AS so_far (hour, test, country, service_id, operator, carrier, bucket, leases)
        SELECT date_trunc('hour', at, 'UTC'), test, country, service_id, operator, carrier, bucket, count(*)
          FROM outcome GROUP BY 1, 2, 3, 4, 5, 6, 7
        ON CONFLICT (hour, test, country, service_id, operator, carrier, bucket)
        DO UPDATE SET leases = so_far.leases + excluded.leases
    )
    INSERT INTO outcome_day AS so_far (day, test, country, service_id, operator, carrier, bucket, leases)
    SELECT (at AT TIME ZONE 'UTC')::date, test, country, service_id, operator, carrier, bucket, count(*)
      FROM outcome GROUP BY 1, 2, 3, 4, 5, 6, 7
    ON CONFLICT (day, test, country, service_id, operator, carrier, bucket)
    DO UPDATE SET leases = so_far.leases + excluded.leases
$$;

CREATE FUNCTION public.count_usage(p_used public.used[]) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO usage AS so_far (account_id, test, dimension, day, value, leases, received, cancelled, expired, micros)
    SELECT account_id, test, part.dimension, day, part.value,
           sum(leases), sum(received), sum(cancelled), sum(expired), sum(micros)
      FROM unnest(p_used),
           LATERAL (SELECT * FROM (VALUES ('key', key_id::text), ('service', service_id::text), ('country', country)) AS own (dimension, value)
                    UNION ALL
                    SELECT * FROM labels_counted(account_id, test, day, labels, leases > 0)) AS part
     GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (account_id, test, dimension, day, value) DO UPDATE
       SET leases = so_far.leases + excluded.leases, received = so_far.received + excluded.received,
           cancelled = so_far.cancelled + excluded.cancelled, expired = so_far.expired + excluded.expired,
           micros = so_far.micros + excluded.micros
$$;

CREATE FUNCTION public.disable_failing(p_endpoint bigint, p_reason text, p_after double precision) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    hook webhook_endpoint;
BEGIN
    UPDATE webhook_endpoint SET disabled_at = now(), disabled_reason = p_reason, paused_until = 'infinity'
     WHERE endpoint_id = p_endpoint AND disabled_at IS NULL AND deleted_at IS NULL
       AND (p_after IS NULL OR failing_since <= now() - make_interval(secs => p_after))
    RETURNING * INTO hook;
    IF hook.endpoint_id IS NULL THEN
        RETURN false;
    END IF;
    PERFORM fail_waiting(p_endpoint, 1000);
    INSERT INTO event (account_id, test, type, data)
    VALUES (hook.account_id, hook.test, 'webhook.disabled',
            jsonb_build_object('webhook_id', hook.endpoint_id::text, 'url', hook.url, 'reason', p_reason));
    RETURN true;
END $$;

CREATE FUNCTION public.discounted(p_account bigint, p_micros bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    tier price_tier;
BEGIN
    IF EXISTS (SELECT FROM price_tier) THEN
        SELECT * INTO tier FROM price_tier
         WHERE from_completed <= (SELECT coalesce(sum(received), 0) FROM usage
                                   WHERE account_id = p_account AND NOT test AND dimension = 'key'
                                     AND day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date)
         ORDER BY from_completed DESC LIMIT 1;
    END IF;
    RETURN p_micros - ceil(p_micros * coalesce(tier.percent_off, 0) / 100);
END $$;

CREATE FUNCTION public.end_all_of(p_account bigint) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE
    ended integer;
BEGIN
    ended := end_at_once(ARRAY(SELECT activation_id FROM activation WHERE account_id = p_account AND ended_at IS NULL));
    PERFORM FROM balance WHERE account_id = p_account FOR NO KEY UPDATE;
    RETURN ended
         + end_at_once(ARRAY(SELECT activation_id FROM activation WHERE account_id = p_account AND ended_at IS NULL));
END $$;

CREATE FUNCTION public.end_at_once(p_activations bigint[]) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE
    live bigint[];
BEGIN
    PERFORM FROM activation WHERE activation_id = ANY (p_activations) ORDER BY activation_id FOR NO KEY UPDATE;
    SELECT array_agg(activation_id) INTO live FROM activation
     WHERE activation_id = ANY (p_activations) AND ended_at IS NULL;
    IF live IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM FROM balance WHERE account_id IN (SELECT account_id FROM activation WHERE activation_id = ANY (live))
      ORDER BY account_id FOR NO KEY UPDATE;
    UPDATE activation SET fee_micros = 0 WHERE activation_id = ANY (live) AND revision = 0 AND fee_micros > 0;
    PERFORM settle(live, 'cancelled');
    RETURN cardinality(live);
END $$;

CREATE FUNCTION public.end_proofs_of_other_domains() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM service_control USING written
     WHERE service_control.service_id = written.service_id AND service_control.domain IS DISTINCT FROM written.domain;
    RETURN NULL;
END $$;

CREATE FUNCTION public.endpoints_waited_for() RETURNS TABLE(endpoint_id bigint, next_at timestamp with time zone)
    LANGUAGE sql STABLE
    AS $$
    WITH RECURSIVE waiting AS (
        (SELECT endpoint_id, next_at FROM webhook_delivery WHERE state = 'pending' ORDER BY endpoint_id, next_at LIMIT 1)
        UNION ALL
        SELECT following.* FROM waiting CROSS JOIN LATERAL (
            SELECT endpoint_id, next_at FROM webhook_delivery
             WHERE state = 'pending' AND endpoint_id > waiting.endpoint_id ORDER BY endpoint_id, next_at LIMIT 1) AS following
    )
    SELECT endpoint_id, next_at FROM waiting
$$;

CREATE FUNCTION public.expire_due(p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE
    due bigint[];
BEGIN
    SELECT array_agg(activation_id) INTO due
      FROM (SELECT activation_id FROM activation
             WHERE ended_at IS NULL AND expires_at <= now()
               AND (expires_at <= now() - interval '1 minute'  -- what came of a long text is given first
                    OR NOT EXISTS (SELECT FROM assembly JOIN assembly_part USING (assembly_id)
                                    WHERE recipient = activation.e164 AND given_at IS NULL AND NOT echo
                                      AND began_at >= activation.created_at))
             ORDER BY expires_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED) AS late;
    IF due IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM settle(due, 'expired');
    RETURN cardinality(due);
END $$;

CREATE FUNCTION public.fail_waiting(p_endpoint bigint, p_most integer) RETURNS bigint
    LANGUAGE sql
    AS $$
    WITH waiting AS MATERIALIZED (
        SELECT delivery_id FROM webhook_delivery WHERE endpoint_id = p_endpoint AND state = 'pending'
         ORDER BY next_at LIMIT p_most FOR UPDATE SKIP LOCKED
    ), failed AS (
        UPDATE webhook_delivery SET state = 'failed', ended_at = now(), lease = lease + 1
         WHERE delivery_id = ANY (ARRAY(SELECT delivery_id FROM waiting))  -- by their keys, however many there are
        RETURNING delivery_id
    )
    SELECT count(*) FROM failed
$$;

CREATE FUNCTION public.fan_out(p_limit integer, OUT taken integer, OUT endpoints bigint[], OUT more boolean) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE
    place tail_position;
    fresh event[];
    is_on_the_way boolean;
    is_held_back boolean := false;  -- read from before what the last look saw
BEGIN
    taken := 0;
    more := false;
    SELECT * INTO place FROM tail_position WHERE consumer = 'fan_out' FOR UPDATE SKIP LOCKED;
    IF place.consumer IS NULL THEN
        RETURN;
    END IF;
    IF pg_snapshot_xmax(coalesce(place.upto, place.seen)) > pg_snapshot_xmax(pg_current_snapshot()) THEN
        place := number_anew(place);
    END IF;
    is_on_the_way := place.upto IS NOT NULL;
    IF NOT is_on_the_way THEN
        place.upto := pg_current_snapshot();
        place.last_xact := first_unseen(place.seen, place.upto);
        place.last_event := 0;
        is_held_back := place.last_xact < pg_snapshot_xmax(place.seen);
    END IF;
    SELECT array_agg(next.whole ORDER BY (next.whole).xact, (next.whole).event_id) INTO fresh
      FROM (SELECT event AS whole FROM event
             WHERE (xact, event_id) > (place.last_xact, place.last_event)
               AND NOT pg_visible_in_snapshot(xact, place.seen) AND pg_visible_in_snapshot(xact, place.upto)
             ORDER BY xact, event_id LIMIT p_limit) AS next;
    IF fresh IS NOT NULL THEN
        taken := cardinality(fresh);
        endpoints := plan_deliveries(fresh);
        PERFORM count_outcomes(fresh);
        place.most_event := greatest(place.most_event, (SELECT max(event_id) FROM unnest(fresh)));
    END IF;
    more := taken = p_limit OR is_on_the_way;  -- what came since that way began
    IF taken = p_limit THEN
        place.last_xact := fresh[taken].xact;
        place.last_event := fresh[taken].event_id;
    ELSE
        place.seen := place.upto;
        place.upto := NULL;
    END IF;
    -- Also past transactions that have ended without an event, or what came after them would be read again each time.
    IF taken > 0 OR is_on_the_way OR is_held_back THEN
        UPDATE tail_position
           SET seen = place.seen, upto = place.upto, last_xact = place.last_xact, last_event = place.last_event,
               most_event = place.most_event, moved_at = now()
         WHERE consumer = 'fan_out';
    END IF;
END $$;

CREATE TABLE public.activation (
    activation_id bigint NOT NULL,
    account_id bigint NOT NULL,
    test boolean NOT NULL,
    number_id bigint NOT NULL,
    e164 text NOT NULL,
    country text NOT NULL,
    service_id integer NOT NULL,
    carrier text NOT NULL,
    state public.activation_state DEFAULT 'waiting'::public.activation_state NOT NULL,
    revision integer DEFAULT 0 NOT NULL,
    cost_micros bigint NOT NULL,
    fee_micros bigint NOT NULL,
    refund_micros bigint DEFAULT 0 NOT NULL,
    currency text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    cancel_after timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    rest_seconds integer NOT NULL,
    sender_filter text,
    contains_filter text,
    labels jsonb,
    key_id bigint DEFAULT 0 NOT NULL,
    day date DEFAULT ((now() AT TIME ZONE 'UTC'::text))::date NOT NULL,
    retain_days smallint DEFAULT 1 NOT NULL,
    erase_after timestamp with time zone,
    capped boolean DEFAULT false NOT NULL,
    proved boolean DEFAULT false NOT NULL,
    CONSTRAINT activation_check CHECK (((fee_micros >= 0) AND (fee_micros <= cost_micros))),
    CONSTRAINT activation_check1 CHECK (((refund_micros >= 0) AND (refund_micros <= cost_micros))),
    CONSTRAINT activation_cost_micros_check CHECK ((cost_micros >= 0)),
    CONSTRAINT activation_ends CHECK (((ended_at IS NOT NULL) = (state = ANY (ARRAY['completed'::public.activation_state, 'cancelled'::public.activation_state, 'expired'::public.activation_state])))),
    CONSTRAINT activation_refund CHECK (((refund_micros = 0) OR (state = ANY (ARRAY['cancelled'::public.activation_state, 'expired'::public.activation_state])))),
    CONSTRAINT activation_texts CHECK (((revision > 0) = (state = ANY (ARRAY['received'::public.activation_state, 'completed'::public.activation_state]))))
)
WITH (fillfactor='80');

CREATE FUNCTION public.finish(p_account bigint, p_test boolean, p_activation bigint, p_word public.activation_state, p_cancels_per_hour integer, OUT problem text, OUT facts jsonb, OUT lease public.activation, OUT texts jsonb) RETURNS record
    LANGUAGE plpgsql
    AS $$
BEGIN
    SELECT * INTO lease FROM activation
     WHERE activation_id = p_activation AND account_id = p_account AND test = p_test FOR NO KEY UPDATE;
    IF lease.activation_id IS NULL THEN
        problem := 'not_found';
        RETURN;
    END IF;
    IF lease.state = p_word THEN
        NULL;  -- said again: the same answer
    ELSIF lease.ended_at IS NOT NULL THEN
        problem := 'activation_finished';
    ELSIF p_word = 'completed' AND lease.revision = 0 THEN
        problem := 'no_sms_received';
    ELSIF p_word = 'cancelled' AND lease.revision > 0 THEN
        problem := 'sms_already_received';
    ELSIF p_word = 'cancelled' AND lease.cancel_after > now() THEN
        problem := 'cancel_too_early';
    ELSE
        IF p_word = 'cancelled' AND lease.capped AND NOT lease.proved THEN
            facts := too_many_cancels(p_account, p_cancels_per_hour);
        END IF;
        IF facts IS NOT NULL THEN
            problem := 'too_many_cancels';
        ELSE
            PERFORM settle(ARRAY[p_activation], p_word);
            SELECT * INTO lease FROM activation WHERE activation_id = p_activation;
        END IF;
    END IF;
    texts := texts_of(p_activation);
END $$;

CREATE FUNCTION public.first_unseen(p_seen pg_snapshot, p_now pg_snapshot) RETURNS xid8
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT coalesce((SELECT under_way FROM pg_snapshot_xip(p_seen) AS under_way
                      WHERE pg_visible_in_snapshot(under_way, p_now) ORDER BY under_way LIMIT 1),
                    pg_snapshot_xmax(p_seen))
$$;

CREATE FUNCTION public.freeze_number(p_e164 text, p_reason text) RETURNS SETOF bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    the_number bigint;
    frozen bigint;
BEGIN
    SELECT number_id INTO the_number FROM number WHERE e164 = p_e164;
    IF the_number IS NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(-the_number);
    INSERT INTO frozen_number AS had (number_id, reason) VALUES (the_number, p_reason)
    ON CONFLICT (number_id) DO UPDATE SET reason = excluded.reason, retired = false WHERE had.retired
    RETURNING number_id INTO frozen;
    RETURN NEXT frozen;
END $$;

CREATE TABLE public.number (
    number_id bigint NOT NULL,
    e164 text NOT NULL,
    shelf_id integer NOT NULL,
    stripe smallint NOT NULL,
    place integer NOT NULL,
    CONSTRAINT number_e164_check CHECK ((e164 ~ '^\+[1-9][0-9]{6,14}$'::text)),
    CONSTRAINT number_stripe_check CHECK (((stripe >= 0) AND (stripe <= 63)))
);

CREATE FUNCTION public.fresh_in(p_service integer, p_shelf integer, p_stripe integer) RETURNS SETOF public.number
    LANGUAGE sql STABLE ROWS 1
    AS $$
    SELECT * FROM number
     WHERE shelf_id = p_shelf AND stripe = p_stripe::smallint
       AND place > coalesce((SELECT max(place) FROM slot
                              WHERE service_id = p_service AND shelf_id = p_shelf AND stripe = p_stripe::smallint), 0)
     ORDER BY place LIMIT 1
$$;

CREATE FUNCTION public.fresh_stripes(p_service integer, p_shelf integer) RETURNS SETOF integer
    LANGUAGE sql STABLE
    AS $$
    SELECT stripe FROM generate_series(0, 63) AS stripe
     WHERE EXISTS (SELECT FROM fresh_in(p_service, p_shelf, stripe)) ORDER BY random()
$$;

CREATE FUNCTION public.has_stock(p_service integer, p_shelves integer[]) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (SELECT FROM unnest(p_shelves) AS shelf, generate_series(0, 63) AS row_of,
                          LATERAL (SELECT FROM number
                                    WHERE shelf_id = shelf AND number.stripe = row_of::smallint
                                      AND place > coalesce((SELECT max(place) FROM slot
                                                             WHERE service_id = p_service AND shelf_id = shelf
                                                               AND slot.stripe = row_of::smallint), 0)
                                      AND NOT EXISTS (SELECT FROM frozen_number AS away
                                                       WHERE away.number_id = number.number_id)
                                    LIMIT 1) AS fresh)
        OR EXISTS (SELECT FROM slot WHERE service_id = p_service AND shelf_id = ANY (p_shelves) AND open_at <= now()
                                      AND NOT EXISTS (SELECT FROM frozen_number AS away
                                                       WHERE away.number_id = slot.number_id))
$$;

CREATE FUNCTION public.incomplete_text(p_wait interval) RETURNS TABLE(carrier text, sender text, recipient text, total smallint, number smallint, alphabet text, payload bytea, key_id bigint, key bytea, began_at timestamp with time zone)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    kept assembly;
    whole assembly_part[];
BEGIN
    SELECT * INTO kept FROM assembly
     WHERE given_at IS NULL
       AND (closed OR touched_at <= now() - p_wait
            OR touched_at <= now() - interval '10 seconds'
               AND (SELECT count(DISTINCT part.number) FROM assembly_part AS part
                     WHERE part.assembly_id = assembly.assembly_id) = total
            OR EXISTS (SELECT FROM activation WHERE activation_id = ANY (leases) AND ended_at IS NULL
                          AND expires_at <= now() + interval '1 second'))
       AND EXISTS (SELECT FROM assembly_part AS part WHERE part.assembly_id = assembly.assembly_id AND NOT part.echo)
     ORDER BY assembly_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
    IF kept.assembly_id IS NULL THEN
        RETURN;
    END IF;
    whole := ARRAY(SELECT whole_parts(kept.assembly_id, kept.total, true));
    IF whole <> '{}' THEN
        RETURN QUERY SELECT kept.carrier, kept.sender, kept.recipient, kept.total, taken.*
                       FROM take_parts(kept.assembly_id, whole) AS taken;
        RETURN;
    END IF;
    RETURN QUERY SELECT kept.carrier, kept.sender, kept.recipient, kept.total, part.number, part.alphabet, part.payload,
                        part.key_id, text_key.key, kept.began_at
                   FROM assembly_part AS part LEFT JOIN text_key USING (key_id)
                  WHERE assembly_id = kept.assembly_id AND NOT echo ORDER BY part.number;
    INSERT INTO finished_part (fingerprint, assembly_id)
    SELECT fingerprint, assembly_id FROM assembly_part
     WHERE assembly_id = kept.assembly_id AND NOT kept.closed AND NOT echo AND fingerprint IS NOT NULL;
    IF kept.closed THEN
        DELETE FROM assembly WHERE assembly_id = kept.assembly_id;
    ELSE
        UPDATE assembly SET given_at = now() WHERE assembly_id = kept.assembly_id;
    END IF;
END $$;

CREATE FUNCTION public.keep_balance() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE balance
       SET available_micros = balance.available_micros + moved.available,
           held_micros = balance.held_micros + moved.held
      FROM (SELECT account_id, currency,
                   sum(change_of('available', debit, credit, amount_micros)) AS available,
                   sum(change_of('held', debit, credit, amount_micros)) AS held
              FROM written GROUP BY account_id, currency) AS moved
     WHERE balance.account_id = moved.account_id AND balance.currency = moved.currency;
    IF (SELECT count(*) FROM (SELECT DISTINCT account_id, currency FROM written) AS w
         WHERE NOT EXISTS (SELECT FROM balance AS b WHERE b.account_id = w.account_id AND b.currency = w.currency)) > 0 THEN
        RAISE EXCEPTION 'a transfer names an account that has no balance in its currency';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.keep_event_days(p_keep integer) RETURNS integer
    LANGUAGE plpgsql
    SET lock_timeout TO '250'
    AS $_$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    made integer := 0;
    dropped integer := 0;
    wanted date;
    old record;
    part text;
BEGIN
    FOR wanted IN SELECT today + ahead FROM generate_series(0, 3) AS ahead
                   WHERE to_regclass(format('event_%s', to_char(today + ahead, 'YYYYMMDD'))) IS NULL LOOP
        part := format('event_%s', to_char(wanted, 'YYYYMMDD'));
        LOCK TABLE event_rest IN ACCESS EXCLUSIVE MODE;
        CONTINUE WHEN to_regclass(part) IS NOT NULL;  -- somebody else was faster
        EXECUTE format('CREATE TABLE %I (LIKE event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
        EXECUTE format('WITH moved AS (DELETE FROM event_rest WHERE created_at >= %1$L AND created_at < %2$L RETURNING *)'
                       ' INSERT INTO %3$I SELECT * FROM moved', wanted || ' 00:00+00', wanted + 1 || ' 00:00+00', part);
        EXECUTE format('ALTER TABLE event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       part, wanted || ' 00:00+00', wanted + 1 || ' 00:00+00');
        made := made + 1;
    END LOOP;
    BEGIN  -- the days to come are needed, what is old can wait
        FOR old IN SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                    WHERE inhparent = 'event'::regclass AND relname ~ '^event_\d{8}$'
                      AND to_date(right(relname, 8), 'YYYYMMDD') < today - p_keep LOOP
            EXECUTE format('DROP TABLE IF EXISTS %I', old.relname);
            dropped := dropped + 1;
        END LOOP;
    EXCEPTION WHEN lock_not_available THEN
        dropped := 0;
    END;
    DELETE FROM event_rest WHERE created_at < now() - p_keep * interval '1 day';
    RETURN made + dropped;
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END $_$;

CREATE FUNCTION public.keep_usage() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM count_usage(array_agg(ROW (account_id, test, key_id, service_id, country, day, labels, 1, 0, 0, 0, cost_micros)::used))
           FROM written;
    ELSE
        PERFORM count_usage(array_agg(ROW (lease.account_id, lease.test, lease.key_id, lease.service_id, lease.country, lease.day, lease.labels, 0,
                                           (lease.revision > 0)::integer - (was.revision > 0)::integer,
                                           (lease.state = 'cancelled')::integer - (was.state = 'cancelled')::integer,
                                           (lease.state = 'expired')::integer - (was.state = 'expired')::integer,
                                           was.refund_micros - lease.refund_micros)::used))
           FROM written AS lease JOIN before AS was USING (activation_id)
          WHERE (lease.revision > 0) <> (was.revision > 0) OR lease.state <> was.state;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.kept_off_until(p_service integer, p_number public.number, p_account bigint) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    AS $$
DECLARE
    until timestamptz;
BEGIN
    IF p_service = 0 THEN
        IF NOT pg_try_advisory_xact_lock(-p_number.number_id) THEN
            RETURN now() + interval '1 second';
        END IF;
        SELECT max(away.until) INTO until
          FROM (SELECT expires_at AS until FROM activation
                 WHERE number_id = p_number.number_id AND ended_at IS NULL
                UNION ALL
                SELECT open_at FROM slot
                 WHERE number_id = p_number.number_id AND open_at > now() AND last_account <> p_account
                   AND rested_at <> 'infinity'
               ) AS away;
    ELSE
        IF NOT pg_try_advisory_xact_lock_shared(-p_number.number_id) THEN
            RETURN now() + interval '1 second';
        END IF;
        SELECT max(away.until) INTO until
          FROM (SELECT expires_at AS until FROM activation
                 WHERE number_id = p_number.number_id AND service_id = 0 AND ended_at IS NULL
                UNION ALL
                SELECT open_at FROM slot
                 WHERE service_id = 0 AND shelf_id = p_number.shelf_id AND stripe = p_number.stripe
                   AND place = p_number.place AND open_at > now() AND last_account <> p_account
                   AND rested_at <> 'infinity'
               ) AS away;
    END IF;
    -- Frozen, or moved or removed while the buyer looked at it.
    IF EXISTS (SELECT FROM frozen_number WHERE number_id = p_number.number_id)
       OR NOT EXISTS (SELECT FROM number WHERE number_id = p_number.number_id AND place = p_number.place
                                           AND shelf_id = p_number.shelf_id AND stripe = p_number.stripe) THEN
        RETURN 'infinity';
    END IF;
    RETURN until;
END $$;

CREATE FUNCTION public.labels_counted(p_account bigint, p_test boolean, p_day date, p_labels jsonb, p_is_new boolean) RETURNS TABLE(dimension text, value text)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_variable
BEGIN
    FOR dimension, value IN SELECT 'label.' || label.key, label.value FROM jsonb_each_text(p_labels) AS label ORDER BY 1 LOOP
        IF NOT EXISTS (SELECT FROM usage AS known
                        WHERE known.account_id = p_account AND known.test = p_test AND known.dimension = dimension
                          AND known.day = p_day AND known.value = value) THEN
            IF p_is_new THEN
                UPDATE label_day AS had SET told_apart = told_apart + 1
                 WHERE had.account_id = p_account AND had.test = p_test AND had.day = p_day AND had.dimension = dimension
                   AND told_apart < 1000;
                IF NOT FOUND AND (SELECT count(*) < 50 FROM label_day AS had
                                   WHERE had.account_id = p_account AND had.test = p_test AND had.day = p_day) THEN
                    INSERT INTO label_day VALUES (p_account, p_test, p_day, dimension)
                    ON CONFLICT ON CONSTRAINT label_day_pkey DO NOTHING;
                END IF;
            END IF;
            IF NOT FOUND OR NOT p_is_new THEN
                value := 'other';
                IF NOT EXISTS (SELECT FROM label_day AS had
                                WHERE had.account_id = p_account AND had.test = p_test AND had.day = p_day
                                  AND had.dimension = dimension) THEN
                    dimension := 'label.other';
                END IF;
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

CREATE FUNCTION public.leases_on(p_recipient text) RETURNS bigint[]
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(array_agg(activation_id ORDER BY activation_id), '{}')
      FROM number JOIN activation USING (number_id) WHERE number.e164 = p_recipient AND ended_at IS NULL
$$;

CREATE FUNCTION public.let_serve(p_role name) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    part record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema, p_role);
    FOR part IN SELECT oid::regclass AS name, relkind, relname FROM pg_class
                 WHERE relnamespace = current_schema::regnamespace AND relowner = current_user::regrole
                   AND relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT relispartition LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %I',
                       CASE part.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, part.name, p_role);
        EXECUTE format('GRANT %s %s TO %I',
                       CASE WHEN part.relkind = 'S' THEN 'USAGE, SELECT ON SEQUENCE'
                            WHEN part.relname = 'schema_version' THEN 'SELECT ON TABLE'
                            WHEN part.relname IN ('transfer', 'audit_entry', 'audit_link') THEN 'SELECT, INSERT ON TABLE'
                            ELSE 'SELECT, INSERT, UPDATE, DELETE ON TABLE' END, part.name, p_role);
    END LOOP;
    FOR part IN SELECT oid::regprocedure AS name FROM pg_proc
                 WHERE pronamespace = current_schema::regnamespace AND proowner = current_user::regrole LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', part.name, p_role);
    END LOOP;
    EXECUTE format('REVOKE EXECUTE ON FUNCTION let_serve(name) FROM PUBLIC, %I', p_role);
    -- What needs the owner: making and dropping the outbox's days, and writing the table of keys anew.
    EXECUTE format('ALTER FUNCTION keep_event_days(integer) SECURITY DEFINER SET search_path = %I, pg_temp', current_schema);
    EXECUTE format('GRANT MAINTAIN ON TABLE text_key TO %I', p_role);
END $$;

CREATE FUNCTION public.locked_before(p_until timestamp with time zone, p_service integer, p_stripe integer) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    LOOP
        IF pg_try_advisory_xact_lock(p_service, p_stripe) THEN
            RETURN true;
        ELSIF clock_timestamp() > p_until THEN
            RETURN false;
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;

CREATE FUNCTION public.move_numbers(p_carrier text, p_e164 text[], p_countries text[], p_operators text[]) RETURNS SETOF text
    LANGUAGE plpgsql
    AS $$
DECLARE
    ids bigint[] := ARRAY(SELECT number_id FROM number JOIN shelf USING (shelf_id)
                           WHERE e164 = ANY (p_e164) AND NOT test AND carrier NOT IN ('simulated', p_carrier));
    had slot[] := take_slots(ids);
BEGIN
    INSERT INTO shelf (country, carrier, operator, test)
    SELECT DISTINCT coalesce(row.country, shelf.country), p_carrier, coalesce(row.operator, shelf.operator), false
      FROM unnest(p_e164, p_countries, p_operators) AS row (e164, country, operator)
      JOIN number ON number.e164 = row.e164 AND number_id = ANY (ids) JOIN shelf USING (shelf_id)
     ORDER BY 1, 3
    ON CONFLICT DO NOTHING;
    PERFORM FROM shelf WHERE carrier = p_carrier AND NOT test ORDER BY shelf_id FOR UPDATE;
    WITH spot AS (
        SELECT number_id, new.shelf_id,
               new.places + row_number() OVER (PARTITION BY new.shelf_id ORDER BY number_id) AS position
          FROM unnest(p_e164, p_countries, p_operators) AS row (e164, country, operator)
          JOIN number ON number.e164 = row.e164 AND number_id = ANY (ids) JOIN shelf AS old USING (shelf_id)
          JOIN shelf AS new ON new.country = coalesce(row.country, old.country) AND NOT new.test
                           AND new.operator = coalesce(row.operator, old.operator) AND new.carrier = p_carrier
    ), moved AS (
        UPDATE number SET shelf_id = spot.shelf_id, stripe = spot.position % 64, place = spot.position / 64 + 1
          FROM spot WHERE spot.number_id = number.number_id
    )
    UPDATE shelf SET places = places + more.count
      FROM (SELECT shelf_id, count(*) FROM spot GROUP BY 1) AS more WHERE more.shelf_id = shelf.shelf_id;
    -- That a place has served a service means that those before it have: a slot that goes along makes the fresh numbers
    -- before it rested ones, open at once. Buyers who would take those meanwhile are locked out.
    PERFORM pg_advisory_xact_lock(service_id, shelf_id * 64 + stripe)
       FROM (SELECT DISTINCT old.service_id, number.shelf_id, number.stripe
               FROM unnest(had) AS old JOIN number USING (number_id) WHERE open_at > now() ORDER BY 1, 2, 3) AS row_of;
    WITH kept AS (
        INSERT INTO slot
        SELECT old.service_id, number.shelf_id, number.stripe, number.place, number_id, last_account, rested_at, open_at
          FROM unnest(had) AS old JOIN number USING (number_id) WHERE open_at > now()
        RETURNING *
    )
    INSERT INTO slot (service_id, shelf_id, stripe, place, number_id, rested_at, open_at)
    SELECT last.service_id, number.shelf_id, number.stripe, number.place, number.number_id, now(), now()
      FROM (SELECT service_id, shelf_id, stripe, max(place) AS place FROM kept GROUP BY 1, 2, 3) AS last
      JOIN number ON number.shelf_id = last.shelf_id AND number.stripe = last.stripe AND number.place < last.place
     WHERE NOT EXISTS (SELECT FROM kept WHERE kept.service_id = last.service_id AND kept.number_id = number.number_id)
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT e164 FROM number WHERE number_id = ANY (ids);
END $$;

CREATE TABLE public.tail_position (
    consumer text NOT NULL,
    seen pg_snapshot NOT NULL,
    upto pg_snapshot,
    last_xact xid8 DEFAULT '0'::xid8 NOT NULL,
    last_event bigint DEFAULT 0 NOT NULL,
    most_event bigint NOT NULL,
    moved_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE FUNCTION public.number_anew(p_place public.tail_position) RETURNS public.tail_position
    LANGUAGE plpgsql
    AS $_$
DECLARE
    place tail_position := p_place;
BEGIN
    LOCK TABLE event IN SHARE ROW EXCLUSIVE MODE;
    UPDATE event
       SET xact = CASE WHEN taken.before THEN '3'::xid8 ELSE pg_current_xact_id() END,
           horizon = CASE WHEN taken.before THEN '4:4:'::pg_snapshot ELSE pg_current_snapshot() END
      FROM (SELECT event_id AS id,
                   event_id <= p_place.most_event AND (pg_visible_in_snapshot(xact, p_place.seen) OR
                       p_place.upto IS NOT NULL AND pg_visible_in_snapshot(xact, p_place.upto)
                       AND (xact, event_id) <= (p_place.last_xact, p_place.last_event)) AS before
              FROM event) AS taken
     WHERE event_id = taken.id AND (NOT taken.before OR xact >= pg_snapshot_xmin(pg_current_snapshot()));
    -- Whoever writes an event once this lock is gone may have a number from before it.
    place.seen := format('%1$s:%1$s:', pg_snapshot_xmin(pg_current_snapshot()))::pg_snapshot;
    place.upto := NULL;
    UPDATE tail_position SET seen = place.seen, upto = NULL, moved_at = now() WHERE consumer = place.consumer;
    RETURN place;
END $_$;

CREATE FUNCTION public.outcome_groups(p_by text[], p_test boolean, p_hour timestamp with time zone, p_day date, p_country text, p_service integer, p_operator text, p_carrier text, p_least integer, p_limit bigint, p_offset bigint) RETURNS TABLE(country text, service_id integer, operator text, carrier text, buckets smallint[], leases bigint[])
    LANGUAGE plpgsql STABLE
    AS $_$
DECLARE
    many constant boolean := p_by @> '{country,service_id}';
    shown text;  -- the four columns; NULL is one value for all
    same text;
BEGIN
    SELECT string_agg(CASE WHEN name = ANY (p_by) THEN name ELSE format('NULL::%s AS %s', type, name) END, ', '),
           string_agg(format('source.%1$s = largest.%1$s', name), ' AND ') FILTER (WHERE name = ANY (p_by))
      INTO shown, same
      FROM (VALUES ('country', 'text'), ('service_id', 'integer'), ('operator', 'text'), ('carrier', 'text')) AS one (name, type);
    RETURN QUERY EXECUTE format(
        'WITH source AS NOT MATERIALIZED ('
        '    SELECT %1$s, bucket, leases FROM %2$s AND test = $3'
        '       AND ($4 IS NULL OR country = $4) AND ($5 IS NULL OR service_id = $5)'
        '       AND ($6 IS NULL OR operator = $6) AND ($7 IS NULL OR carrier = $7)'
        '), largest AS ('
        '    SELECT country, service_id, operator, carrier FROM source'
        '     GROUP BY 1, 2, 3, 4 HAVING sum(leases) >= $8 ORDER BY sum(leases) DESC, 1, 2, 3, 4 LIMIT $9 OFFSET $10'
        '), counted AS ('
        '    SELECT source.country, source.service_id, source.operator, source.carrier, bucket, sum(leases) AS leases'
        '      FROM source %3$s GROUP BY 1, 2, 3, 4, 5'
        ')'
        ' SELECT country, service_id, operator, carrier, array_agg(bucket), array_agg(leases::bigint) FROM counted'
        '  GROUP BY 1, 2, 3, 4 HAVING sum(leases) >= $8 ORDER BY sum(leases) DESC, 1, 2, 3, 4 %4$s',
        shown,
        CASE WHEN p_day IS NULL THEN 'outcome_hour WHERE hour >= $1' ELSE 'outcome_day WHERE day >= $2' END,
        CASE WHEN many THEN 'JOIN largest ON ' || same ELSE '' END,
        CASE WHEN many THEN '' ELSE 'LIMIT $9 OFFSET $10' END)
        USING p_hour, p_day, p_test, p_country, p_service, p_operator, p_carrier, p_least, p_limit, p_offset;
END $_$;

CREATE FUNCTION public.pick_fresh(p_service integer, p_shelf integer, p_account bigint, INOUT has_put_aside boolean, OUT picked public.number) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE
    stocked integer;
    start integer := floor(random() * 64);
    stripe integer;
    busy integer[] := '{}';
    taken record;
    waits_until timestamptz := clock_timestamp() + interval '0.25 seconds';
    passed_by boolean := false;  -- a stripe that may have a fresh number still
BEGIN
    SELECT places INTO stocked FROM shelf WHERE shelf_id = p_shelf;  -- before the look, so that an import outdates it
    IF EXISTS (SELECT FROM exhausted WHERE service_id = p_service AND shelf_id = p_shelf AND places = stocked) THEN
        RETURN;
    END IF;
    FOR attempt IN 0..7 LOOP
        stripe := (start + attempt) % 64;
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(p_service, p_shelf * 64 + stripe);
        taken := take_fresh(p_service, p_shelf, stripe, p_account);
        IF (taken.picked).number_id IS NOT NULL THEN
            picked := taken.picked;
            RETURN;
        END IF;
        has_put_aside := has_put_aside OR taken.put_aside;
    END LOOP;
    FOR stripe IN SELECT * FROM fresh_stripes(p_service, p_shelf) LOOP
        IF pg_try_advisory_xact_lock(p_service, p_shelf * 64 + stripe) THEN
            taken := take_fresh(p_service, p_shelf, stripe, p_account);
            IF (taken.picked).number_id IS NOT NULL THEN
                picked := taken.picked;
                RETURN;
            END IF;
            has_put_aside := has_put_aside OR taken.put_aside;
        ELSE
            busy := busy || stripe;
        END IF;
    END LOOP;
    FOREACH stripe IN ARRAY busy LOOP
        CONTINUE WHEN NOT EXISTS (SELECT FROM fresh_in(p_service, p_shelf, stripe));
        IF NOT has_put_aside THEN
            PERFORM pg_advisory_xact_lock(p_service, p_shelf * 64 + stripe);
        ELSIF NOT locked_before(waits_until, p_service, p_shelf * 64 + stripe) THEN
            passed_by := true;
            CONTINUE;
        END IF;
        taken := take_fresh(p_service, p_shelf, stripe, p_account);
        IF (taken.picked).number_id IS NOT NULL THEN
            picked := taken.picked;
            RETURN;
        END IF;
        has_put_aside := has_put_aside OR taken.put_aside;
    END LOOP;
    IF NOT passed_by AND pg_try_advisory_xact_lock(p_service, -1 - p_shelf) THEN
        INSERT INTO exhausted VALUES (p_service, p_shelf, stocked)
        ON CONFLICT (service_id, shelf_id) DO UPDATE SET places = excluded.places;
    END IF;
END $$;

CREATE FUNCTION public.pick_rested(p_service integer, p_shelf integer, p_account bigint, p_test boolean) RETURNS public.number
    LANGUAGE plpgsql
    AS $$
DECLARE
    spot slot;
    until timestamptz;
    found number;
    kept_off bigint[] := '{}';  -- of the account's own
BEGIN
    LOOP
        SELECT * INTO spot FROM slot
         WHERE service_id = p_service AND shelf_id = p_shelf AND open_at <= now()
         ORDER BY open_at LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF spot.number_id IS NULL THEN
            SELECT slot.* INTO spot
              FROM (SELECT number_id FROM activation
                     WHERE account_id = p_account AND test = p_test AND service_id = p_service AND ended_at IS NOT NULL
                     ORDER BY activation_id DESC LIMIT 200) AS mine
              JOIN number USING (number_id)
              JOIN slot ON slot.service_id = p_service AND slot.shelf_id = number.shelf_id
                       AND slot.stripe = number.stripe AND slot.place = number.place
             WHERE slot.shelf_id = p_shelf AND slot.last_account = p_account
               AND slot.rested_at <= now() AND slot.open_at <> 'infinity'
               AND slot.number_id <> ALL (kept_off)
             LIMIT 1 FOR UPDATE OF slot SKIP LOCKED;
        END IF;
        IF spot.number_id IS NULL THEN
            RETURN NULL;
        END IF;
        SELECT * INTO found FROM number WHERE number_id = spot.number_id
            AND shelf_id = p_shelf AND stripe = spot.stripe AND place = spot.place;
        IF found.number_id IS NULL THEN  -- put aside while its number was moved or removed: its place stays used
            UPDATE slot SET rested_at = 'infinity', open_at = 'infinity'
             WHERE service_id = p_service AND shelf_id = p_shelf AND stripe = spot.stripe AND place = spot.place;
            CONTINUE;
        END IF;
        until := kept_off_until(p_service, found, p_account);
        IF until IS NOT NULL AND spot.open_at > now() THEN
            kept_off := kept_off || spot.number_id;  -- a text could still come for the account: that stays written
            CONTINUE;
        END IF;
        UPDATE slot SET rested_at = 'infinity', open_at = coalesce(until, 'infinity')
         WHERE service_id = p_service AND shelf_id = p_shelf AND stripe = spot.stripe AND place = spot.place;
        IF until IS NULL THEN
            RETURN found;
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION public.plan_deliveries(p_events public.event[]) RETURNS bigint[]
    LANGUAGE sql
    AS $$
    WITH planned AS (
        INSERT INTO webhook_delivery (endpoint_id, account_id, event_id, event_at)
        SELECT hook.endpoint_id, hook.account_id, fresh.event_id, fresh.created_at
          FROM unnest(p_events) AS fresh JOIN webhook_endpoint AS hook USING (account_id, test)
         WHERE hook.disabled_at IS NULL AND hook.deleted_at IS NULL AND hook.created_at <= fresh.created_at
           AND CASE WHEN fresh.endpoint_id IS NULL THEN wants(hook.events, fresh.type)
                    ELSE fresh.endpoint_id = hook.endpoint_id END
         ORDER BY fresh.event_id
        ON CONFLICT (endpoint_id, event_id) DO NOTHING
        RETURNING endpoint_id
    )
    SELECT array_agg(DISTINCT endpoint_id) FROM planned
$$;

CREATE FUNCTION public.plan_test_texts(p_activation bigint, p_recipient text, p_service text) RETURNS void
    LANGUAGE sql
    AS $$
    WITH fresh AS (
        SELECT code, (code + 1 + floor(random() * 999999)::integer) % 1000000 AS another
          FROM (SELECT floor(random() * 1000000)::integer AS code) AS drawn
    )
    INSERT INTO simulated_text (due_at, activation_id, recipient, sender, body)
    SELECT now() + after_seconds * interval '1 second', p_activation, p_recipient, 'TRUNKLINE', body
      FROM fresh,
           LATERAL (VALUES ('test_success', 0, format('Your Trunkline test code is %s.', lpad(code::text, 6, '0'))),
                           ('test_delayed', 5, format('Your Trunkline test code is %s.', lpad(code::text, 6, '0'))),
                           ('test_no_code', 0, 'This is a Trunkline test text without a code.'),
                           ('test_two_codes', 0, format('Your Trunkline test code is %s.', lpad(code::text, 6, '0'))),
                           ('test_two_codes', 1, format('Your Trunkline test code is %s.', lpad(another::text, 6, '0')))
                   ) AS text (service, after_seconds, body)
     WHERE service = p_service
     ORDER BY after_seconds
$$;

CREATE FUNCTION public.price_of(p_service integer, p_country text, p_currency text) RETURNS bigint
    LANGUAGE sql STABLE
    AS $$
    SELECT price_micros FROM price_rule
     WHERE (service_id = p_service OR service_id IS NULL) AND (country = p_country OR country IS NULL)
       AND currency = p_currency
     ORDER BY service_id NULLS LAST, country NULLS LAST LIMIT 1
$$;

CREATE FUNCTION public.purchase(p_account bigint, p_key bigint, p_test boolean, p_country text, p_service text, p_max_micros bigint, p_operator text, p_ttl_seconds integer, p_sender text, p_contains text, p_labels jsonb, p_dry_run boolean, p_fee_micros bigint, p_carriers text[], p_cancel_waits integer[], p_rests integer[], p_max_active integer, p_per_hour integer, p_floor numeric, p_retain_days integer, p_test_active integer, p_test_any integer, p_test_share numeric, p_test_per_day integer, OUT problem text, OUT facts jsonb, OUT activation_id bigint, OUT e164 text, OUT carrier text, OUT created_at timestamp with time zone, OUT expires_at timestamp with time zone, OUT cancel_after timestamp with time zone, OUT cost_micros bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    the_service service;
    buyer account;
    money balance;
    shelves integer[];
    simulated integer[];
    closed integer;
    stock bigint;
    own boolean := false;  -- a service that the buyer has proved to be theirs
    beyond boolean := false;  -- the caps, which a proof lifts for texts that name the service
    the_shelf integer;
    taken record;
    picked number;
    has_put_aside boolean := false;
    policy integer;
BEGIN
    SELECT * INTO the_service FROM service WHERE slug = p_service;
    IF the_service.service_id IS NULL OR (the_service.magic AND NOT p_test) THEN
        problem := 'unknown_service';
        RETURN;
    END IF;
    -- Those of test keys too, so that an account's usage is written in turn.
    SELECT * INTO money FROM balance WHERE account_id = p_account FOR NO KEY UPDATE;
    SELECT * INTO buyer FROM account WHERE account_id = p_account;  -- under the lock, which freezing takes too
    IF buyer.frozen_at IS NOT NULL THEN
        problem := 'account_frozen';
        facts := jsonb_build_object('reason', buyer.frozen_reason);
        RETURN;
    END IF;

    cost_micros := price_of(the_service.service_id, p_country, buyer.currency);
    IF cost_micros IS NULL THEN
        problem := 'no_numbers_available';
        RETURN;
    END IF;
    cost_micros := discounted(p_account, cost_micros);
    IF cost_micros > p_max_micros THEN
        problem := 'price_above_max';
        facts := jsonb_build_object('min_price_micros', cost_micros);
        RETURN;
    END IF;
    IF the_service.magic THEN
        problem := CASE p_service WHEN 'test_no_numbers' THEN 'no_numbers_available'
                                  WHEN 'test_insufficient_balance' THEN 'insufficient_balance'
                                  WHEN 'test_rate_limited' THEN 'rate_limited' END;
        facts := jsonb_build_object('balance_micros', 0, 'cost_micros', cost_micros,
                                    'retry_at', now() + interval '1 second');
        IF problem IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;

    IF NOT p_test AND p_carriers <> '{simulated}' THEN
        own := EXISTS (SELECT FROM service_control
                        WHERE account_id = p_account AND service_id = the_service.service_id
                          AND proved_at > now() - interval '365 days');
    END IF;
    SELECT array_agg(shelf_id ORDER BY random()) FILTER (WHERE carrier = 'simulated' OR enabled),
           array_agg(shelf_id ORDER BY random()) FILTER (WHERE carrier = 'simulated'),
           count(*) FILTER (WHERE carrier <> 'simulated' AND NOT enabled), sum(numbers)
      INTO shelves, simulated, closed, stock
      FROM shelf, LATERAL (SELECT own OR service_enabled(the_service.service_id, p_country) AS enabled) AS switch
     WHERE country = p_country AND test = p_test AND carrier = ANY (p_carriers) AND numbers > 0
       AND (p_operator IS NULL OR operator = p_operator);
    IF shelves IS NULL THEN
        problem := CASE WHEN closed > 0 THEN 'service_not_enabled' ELSE 'no_numbers_available' END;
        RETURN;
    END IF;
    IF shelves IS DISTINCT FROM simulated AND cardinality(shelves) > coalesce(cardinality(simulated), 0) THEN
        SELECT capped.problem, capped.facts INTO problem, facts
          FROM capped_because(buyer, p_max_active, p_per_hour, p_floor, own) AS capped;
        IF problem IS NOT NULL AND own THEN
            beyond := true;
            problem := NULL;
            facts := NULL;
        ELSIF problem IS NOT NULL AND simulated IS NULL THEN
            RETURN;
        ELSIF problem IS NOT NULL THEN
            problem := NULL;
            facts := NULL;
            shelves := simulated;
        END IF;
    END IF;

    IF p_test THEN
        cost_micros := 0;  -- nothing is charged to a test key
        SELECT capped.problem, capped.facts INTO problem, facts
          FROM test_capped_because(p_account, the_service.service_id, p_country, stock,
                                   coalesce(buyer.test_max_active, p_test_active),
                                   coalesce(buyer.test_max_any, p_test_any),
                                   coalesce(buyer.test_country_share, p_test_share),
                                   coalesce(buyer.test_purchases_per_day, p_test_per_day)) AS capped;
        IF problem IS NOT NULL THEN
            RETURN;
        END IF;
    ELSIF cost_micros > 0 THEN
        facts := spend_cap_broken(buyer, p_key, cost_micros);
        IF facts IS NOT NULL THEN
            problem := 'spend_cap_reached';
            RETURN;
        END IF;
        IF money.available_micros < cost_micros THEN
            problem := 'insufficient_balance';
            facts := jsonb_build_object('balance_micros', money.available_micros, 'cost_micros', cost_micros);
            RETURN;
        END IF;
    END IF;

    IF p_dry_run THEN
        IF NOT has_stock(the_service.service_id, shelves) THEN
            problem := 'no_numbers_available';
        END IF;
        RETURN;
    END IF;

    FOREACH the_shelf IN ARRAY shelves LOOP
        taken := pick_fresh(the_service.service_id, the_shelf, p_account, has_put_aside);
        picked := taken.picked;
        has_put_aside := taken.has_put_aside;
        EXIT WHEN picked.number_id IS NOT NULL;
    END LOOP;
    IF picked.number_id IS NULL THEN
        FOREACH the_shelf IN ARRAY shelves LOOP
            picked := pick_rested(the_service.service_id, the_shelf, p_account, p_test);
            EXIT WHEN picked.number_id IS NOT NULL;
        END LOOP;
    END IF;
    IF picked.number_id IS NULL THEN
        problem := 'no_numbers_available';
        RETURN;
    END IF;

    SELECT shelf.carrier, array_position(p_carriers, shelf.carrier) INTO carrier, policy
      FROM shelf WHERE shelf_id = picked.shelf_id;
    e164 := picked.e164;
    INSERT INTO activation (account_id, key_id, test, number_id, e164, country, service_id, carrier, cost_micros,
                            fee_micros, currency, expires_at, cancel_after, rest_seconds, sender_filter,
                            contains_filter, labels, capped, proved, retain_days)
         VALUES (p_account, p_key, p_test, picked.number_id, picked.e164, p_country, the_service.service_id, carrier,
                 cost_micros, least(p_fee_micros, cost_micros), buyer.currency,
                 date_trunc('second', now()) + p_ttl_seconds * interval '1 second',
                 now() + p_cancel_waits[policy] * interval '1 second', p_rests[policy], p_sender, p_contains, p_labels,
                 carrier <> 'simulated' AND NOT beyond, carrier <> 'simulated' AND own, coalesce(buyer.retention_days, p_retain_days))
      RETURNING activation.activation_id, activation.created_at, activation.expires_at, activation.cancel_after
           INTO activation_id, created_at, expires_at, cancel_after;
    IF cost_micros > 0 THEN
        INSERT INTO transfer (account_id, activation_id, kind, debit, credit, amount_micros, currency)
             VALUES (p_account, activation_id, 'hold', 'available', 'held', cost_micros, buyer.currency);
    END IF;
    INSERT INTO event (account_id, test, activation_id, type) VALUES (p_account, p_test, activation_id, 'activation.created');
    IF money.available_micros >= buyer.low_balance_micros
       AND money.available_micros - cost_micros < buyer.low_balance_micros THEN
        INSERT INTO event (account_id, test, type, data)
             VALUES (p_account, false, 'balance.low',
                     jsonb_build_object('balance_micros', money.available_micros - cost_micros,
                                        'low_balance_micros', buyer.low_balance_micros, 'currency', buyer.currency));
    END IF;
    IF the_service.magic THEN
        PERFORM plan_test_texts(activation_id, e164, p_service);
    END IF;
END $$;

CREATE FUNCTION public.receive(p_numbers bigint[], p_activations bigint[], p_carriers text[], p_senders text[], p_recipients text[], p_reasons text[], p_fingerprints bytea[], p_elders bytea[], p_erased bytea[], p_elders_erased bytea[], p_sessions text[], p_identities text[], p_doubtful text[], p_incomplete boolean[], p_sealed bytea[], p_keys bigint[], p_days integer[]) RETURNS TABLE(place bigint, outcome text, activation_id bigint)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM activation WHERE activation_id = ANY (p_activations) ORDER BY activation_id FOR NO KEY UPDATE;
    PERFORM FROM balance WHERE account_id IN (SELECT account_id FROM activation
                                               WHERE activation_id = ANY (p_activations) AND revision = 0)
      ORDER BY account_id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH incoming AS MATERIALIZED (
        SELECT text.*, live.activation_id AS owner, live.revision AS revision_before,
               CASE WHEN live.activation_id IS NULL AND text.meant_for IS NOT NULL
                    THEN 'the lease had ended' ELSE text.reason END AS why,
               former.message_id AS former, former.activation_id AS former_owner
          FROM unnest(p_numbers, p_activations, p_carriers, p_senders, p_recipients, p_reasons, p_fingerprints,
                      p_elders, p_erased, p_elders_erased, p_sessions, p_identities, p_doubtful, p_incomplete,
                      p_sealed, p_keys, p_days) WITH ORDINALITY
               AS text (number_id, meant_for, carrier, sender, recipient, reason, fingerprint, elder, erased, elder_erased,
                        session, identity, doubtful, incomplete, sealed, key_id, days, place)
          LEFT JOIN activation AS live ON live.activation_id = text.meant_for AND live.ended_at IS NULL
          LEFT JOIN LATERAL (
              SELECT old.message_id, old.activation_id
                FROM message AS old LEFT JOIN activation AS its ON its.activation_id = old.activation_id
               WHERE old.fingerprint = ANY (ARRAY[text.fingerprint, text.elder, text.erased, text.elder_erased])
                 AND old.received_at > now() - interval '73 hours'  -- 72 after the end of any lease
                 AND CASE
                     WHEN old.identity = text.identity AND old.session IS NOT DISTINCT FROM text.session THEN true
                     WHEN old.identity <> text.identity AND old.session IS NULL AND text.session IS NULL THEN false
                     WHEN text.carrier = 'simulated'
                     THEN old.activation_id IS NOT DISTINCT FROM live.activation_id AND old.sealed IS NOT NULL
                     WHEN its.account_id <> live.account_id THEN true
                     WHEN old.activation_id IS NULL AND old.received_at < live.created_at THEN true
                     WHEN old.session = text.session THEN false
                     ELSE coalesce(old.session IS NULL OR old.received_at <@ text.doubtful::tstzmultirange, true)
                     END
               ORDER BY old.message_id LIMIT 1) AS former ON true
    ), judged AS (
        -- The same within the group, where none can be seen in the table yet.
        SELECT incoming.*,
               row_number() OVER (PARTITION BY fingerprint, owner, session, identity ORDER BY place) > 1
               OR row_number() OVER together > 1 AND session IS DISTINCT FROM first_value(session) OVER together AS twin
          FROM incoming WINDOW together AS (PARTITION BY fingerprint, owner ORDER BY place)
    ), counted AS (
        UPDATE message SET repeats = repeats + again.times, repeated_at = now()
          FROM (SELECT former, count(*)::integer AS times FROM judged WHERE former IS NOT NULL GROUP BY former) AS again
         WHERE message.message_id = again.former
           AND message.message_id IN (SELECT message_id FROM message AS free
                                       WHERE message_id IN (SELECT former FROM judged) FOR NO KEY UPDATE SKIP LOCKED)
    ), news AS (
        SELECT judged.*, coalesce(twins.times, 0) AS times
          FROM judged
          LEFT JOIN (SELECT fingerprint, owner, count(*)::integer AS times FROM judged WHERE twin GROUP BY 1, 2) AS twins
            ON twins.fingerprint = judged.fingerprint AND twins.owner IS NOT DISTINCT FROM judged.owner
         WHERE former IS NULL AND NOT twin
    ), stored AS (
        INSERT INTO message (number_id, activation_id, revision, carrier, sender, recipient, reason, fingerprint, session,
                             identity, incomplete, repeats, repeated_at, sealed, key_id, erase_after)
        SELECT number_id, owner,
               CASE WHEN owner IS NOT NULL
                    THEN revision_before + row_number() OVER (PARTITION BY owner ORDER BY place) END,
               carrier, sender, recipient, why, fingerprint, session, identity, incomplete, times,
               CASE WHEN times > 0 THEN now() END, sealed, key_id,
               CASE WHEN owner IS NULL THEN now() + days * interval '1 day' END
          FROM news ORDER BY place
        RETURNING message.activation_id, message.revision
    ), bumped AS (
        UPDATE activation SET revision = activation.revision + new.texts, state = 'received'
          FROM (SELECT stored.activation_id, count(*)::integer AS texts FROM stored
                 WHERE stored.activation_id IS NOT NULL GROUP BY 1) AS new
         WHERE activation.activation_id = new.activation_id
        RETURNING activation.*, activation.revision = new.texts AS first
    ), captured AS (
        INSERT INTO transfer (account_id, activation_id, kind, debit, credit, amount_micros, currency)
        SELECT account_id, activation_id, 'capture', 'held', 'revenue', cost_micros, currency
          FROM bumped WHERE first AND cost_micros > 0 ORDER BY account_id
    ), told AS (
        INSERT INTO event (account_id, test, activation_id, type, data)
        SELECT account_id, test, activation_id, 'sms.received', jsonb_build_object('revision', stored.revision)
          FROM stored JOIN bumped USING (activation_id) ORDER BY activation_id, stored.revision
    )
    SELECT place,
           CASE WHEN former IS NOT NULL OR twin THEN 'repeated'
                WHEN owner IS NOT NULL THEN 'delivered'
                WHEN meant_for IS NOT NULL THEN 'late'
                ELSE 'unmatched' END,
           CASE WHEN former IS NULL OR former_owner = owner THEN owner END
      FROM judged ORDER BY place;
END $$;

CREATE FUNCTION public.record_attempts(p_deliveries bigint[], p_leases integer[], p_succeeded boolean[], p_again_in double precision[], p_pauses double precision[], p_urls text[], p_ages_ms integer[], p_durations_ms integer[], p_statuses smallint[], p_reasons text[], p_addresses text[], p_answers bytea[], p_keys bigint[], p_disable_after double precision, OUT endpoint_id bigint, OUT gone boolean) RETURNS SETOF record
    LANGUAGE sql
    AS $$
    WITH result AS MATERIALIZED (
        SELECT *, clock_timestamp() - make_interval(secs => age_ms / 1000.0) AS at
          FROM unnest(p_deliveries, p_leases, p_succeeded, p_again_in, p_pauses, p_urls, p_ages_ms, p_durations_ms,
                      p_statuses, p_reasons, p_addresses, p_answers, p_keys)
               WITH ORDINALITY AS given (delivery_id, lease, succeeded, again_in, pause, url, age_ms, duration_ms, status,
                                         reason, address, answer, key_id, place)
    ), recorded AS (
        UPDATE webhook_delivery AS delivery
           SET attempts = attempts + 1, lease = delivery.lease + 1,
               state = (CASE WHEN succeeded THEN 'delivered' WHEN again_in IS NULL THEN 'failed' ELSE 'pending' END)::delivery_state,
               next_at = CASE WHEN NOT succeeded AND again_in IS NOT NULL THEN now() + make_interval(secs => again_in) ELSE next_at END,
               ended_at = CASE WHEN succeeded OR again_in IS NULL THEN now() END
          FROM result
         WHERE delivery.delivery_id = result.delivery_id AND delivery.lease = result.lease AND state = 'pending'
        RETURNING delivery.endpoint_id, delivery.attempts, result.*
    ), written AS (
        INSERT INTO webhook_attempt (delivery_id, number, at, url, duration_ms, status, reason, address, answer, key_id)
        SELECT delivery_id, attempts, at, url, duration_ms, status, reason, address, answer, key_id FROM recorded
    ), verdict AS (
        SELECT endpoint_id, bool_or(succeeded) AS succeeded, max(pause) AS pause, bool_or(status IS NOT DISTINCT FROM 410) AS gone,
               min(at) FILTER (WHERE place > last_success) AS failing
          FROM (SELECT *, coalesce(max(place) FILTER (WHERE succeeded) OVER (PARTITION BY endpoint_id), 0) AS last_success
                  FROM recorded) AS each
         GROUP BY endpoint_id
    ), standing AS MATERIALIZED (  -- locked in one order, however many processes write
        SELECT hook.endpoint_id, verdict.gone, verdict.failing, hook.failing_since, hook.paused_until,
               CASE WHEN succeeded THEN verdict.failing ELSE coalesce(hook.failing_since, verdict.failing) END AS now_failing,
               CASE WHEN pause IS NOT NULL THEN greatest(hook.paused_until, now() + make_interval(secs => pause))
                    WHEN NOT succeeded OR hook.paused_until > now() THEN hook.paused_until END AS now_paused
          FROM verdict JOIN webhook_endpoint AS hook USING (endpoint_id)
         WHERE verdict.failing IS NOT NULL OR hook.failing_since IS NOT NULL OR hook.paused_until IS NOT NULL
         ORDER BY hook.endpoint_id FOR NO KEY UPDATE OF hook
    ), changed AS (
        UPDATE webhook_endpoint AS hook SET failing_since = now_failing, paused_until = now_paused
          FROM standing
         WHERE hook.endpoint_id = standing.endpoint_id
           AND (hook.failing_since, hook.paused_until) IS DISTINCT FROM (now_failing, now_paused)
    )
    SELECT endpoint_id, gone FROM standing
     WHERE gone OR failing IS NOT NULL AND now_failing <= now() - make_interval(secs => p_disable_after)
$$;

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

CREATE FUNCTION public.remove_numbers(p_e164 text[]) RETURNS TABLE(the_number text, stays text)
    LANGUAGE plpgsql
    AS $$
DECLARE
    ids bigint[] := ARRAY(SELECT number_id FROM number WHERE e164 = ANY (p_e164) ORDER BY number_id);
    gone bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(-number_id) FROM unnest(ids) AS one (number_id);
    RETURN QUERY
    SELECT number.e164,
           CASE WHEN EXISTS (SELECT FROM activation WHERE activation.number_id = number.number_id AND ended_at IS NULL)
                THEN 'is leased at the moment'
                WHEN EXISTS (SELECT FROM slot WHERE slot.number_id = number.number_id AND last_account IS NOT NULL
                                AND open_at > now() AND open_at <> 'infinity')
                THEN 'rests after a lease, whose texts could still come' END
      FROM number WHERE number_id = ANY (ids) ORDER BY number_id;
    SELECT array_agg(number_id) INTO gone FROM unnest(ids) AS one (number_id)
     WHERE NOT EXISTS (SELECT FROM activation WHERE activation.number_id = one.number_id AND ended_at IS NULL)
       AND NOT EXISTS (SELECT FROM slot WHERE slot.number_id = one.number_id AND last_account IS NOT NULL
                          AND open_at > now() AND open_at <> 'infinity');
    PERFORM take_slots(gone);
    DELETE FROM frozen_number WHERE number_id = ANY (gone);
    DELETE FROM number WHERE number_id = ANY (gone);
END $$;

CREATE FUNCTION public.service_enabled(p_service integer, p_country text) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce((SELECT enabled FROM service_switch
                      WHERE service_id = p_service AND (country = p_country OR country IS NULL)
                      ORDER BY country NULLS LAST LIMIT 1), false)
$$;

CREATE FUNCTION public.settle(p_activations bigint[], p_without_text public.activation_state) RETURNS void
    LANGUAGE sql
    AS $$
    -- Before the triggers of this statement write usage and balance, in whatever order.
    SELECT FROM balance WHERE account_id IN (SELECT account_id FROM activation WHERE activation_id = ANY (p_activations))
     ORDER BY account_id FOR NO KEY UPDATE;
    WITH ended AS (
        UPDATE activation
           SET state = CASE WHEN revision > 0 THEN 'completed' ELSE p_without_text END,
               ended_at = now(),
               erase_after = CASE WHEN revision > 0 THEN now() + retain_days * interval '1 day' END,
               refund_micros = CASE WHEN revision > 0 THEN 0 ELSE cost_micros - fee_micros END
         WHERE activation_id = ANY (p_activations)
        RETURNING *
    ), moved AS (
        INSERT INTO transfer (account_id, activation_id, kind, debit, credit, amount_micros, currency)
        SELECT account_id, activation_id, kind::transfer_kind, 'held', credit::book, amount, currency
          FROM ended,
               LATERAL (VALUES ('release', 'available', refund_micros), ('fee', 'revenue', fee_micros)) AS leg (kind, credit, amount)
         WHERE revision = 0 AND amount > 0
    ), rested AS (
        UPDATE slot
           SET last_account = ended.account_id,
               rested_at = now() + rest_seconds * interval '1 second',
               open_at = greatest(now() + rest_seconds * interval '1 second',
                                  CASE WHEN ended.revision = 0 THEN ended.expires_at END)
          FROM ended JOIN number USING (number_id)
         WHERE slot.service_id = ended.service_id AND slot.shelf_id = number.shelf_id
           AND slot.stripe = number.stripe AND slot.place = number.place
    ), found_again AS (  -- other services' slots that a pick put aside because of these leases
        UPDATE slot SET rested_at = now(), open_at = now() FROM ended
         WHERE slot.number_id = ended.number_id AND slot.rested_at = 'infinity' AND slot.open_at <> 'infinity'
    )
    INSERT INTO event (account_id, test, activation_id, type)
    SELECT account_id, test, activation_id, 'activation.' || state FROM ended
$$;

CREATE TABLE public.slot (
    service_id integer NOT NULL,
    shelf_id integer NOT NULL,
    stripe smallint NOT NULL,
    place integer NOT NULL,
    number_id bigint NOT NULL,
    last_account bigint,
    rested_at timestamp with time zone NOT NULL,
    open_at timestamp with time zone NOT NULL
);

CREATE FUNCTION public.slots_of(p_numbers bigint[]) RETURNS SETOF public.slot
    LANGUAGE sql STABLE
    AS $$
    WITH RECURSIVE served AS (
        SELECT min(service_id) AS service_id FROM slot
        UNION ALL
        SELECT (SELECT min(service_id) FROM slot WHERE slot.service_id > served.service_id) FROM served
         WHERE served.service_id IS NOT NULL
    )
    SELECT slot.* FROM number CROSS JOIN served
      JOIN slot ON slot.service_id = served.service_id AND slot.shelf_id = number.shelf_id
               AND slot.stripe = number.stripe AND slot.place = number.place
     WHERE number.number_id = ANY (p_numbers)
$$;

CREATE FUNCTION public.spend_cap_broken(p_account public.account, p_key bigint, p_cost bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    first_of_next date := (date_trunc('month', today) + interval '1 month')::date;
    line bigint[] := (SELECT key_id || elders FROM api_key WHERE key_id = p_key);
    broken jsonb;
BEGIN
    IF num_nonnulls(p_account.cap_day_micros, p_account.cap_month_micros) = 0
       AND NOT EXISTS (SELECT FROM api_key
                        WHERE key_id = ANY (line) AND num_nonnulls(cap_day_micros, cap_month_micros) > 0) THEN
        RETURN NULL;
    END IF;
    WITH spent AS (
        SELECT spender.key_id || spender.elders AS line, part.micros, part.micros_today
          FROM (SELECT value, sum(micros) AS micros, coalesce(sum(micros) FILTER (WHERE day = today), 0) AS micros_today
                  FROM usage
                 WHERE account_id = p_account.account_id AND NOT test AND dimension = 'key'
                   AND day >= date_trunc('month', today)::date
                 GROUP BY value) AS part
          LEFT JOIN api_key AS spender ON spender.key_id = part.value::bigint
    ), cap AS (
        SELECT 'account_day' AS name, p_account.cap_day_micros AS most, sum(micros_today) AS had, today + 1 AS until FROM spent
        UNION ALL
        SELECT 'account_month', p_account.cap_month_micros, sum(micros), first_of_next FROM spent
        UNION ALL
        SELECT 'key_' || period, most, (SELECT sum(CASE period WHEN 'day' THEN micros_today ELSE micros END)
                                          FROM spent WHERE spent.line @> ARRAY[elder.key_id]), until
          FROM api_key AS elder,
               LATERAL (VALUES ('day', cap_day_micros, today + 1), ('month', cap_month_micros, first_of_next))
                    AS own (period, most, until)
         WHERE elder.key_id = ANY (line)
    )
    SELECT jsonb_build_object('cap', name, 'cap_micros', most, 'spent_micros', coalesce(had, 0), 'retry_at', until) INTO broken
      FROM cap WHERE coalesce(had, 0) + p_cost > most
     ORDER BY until DESC, most LIMIT 1;
    RETURN broken;
END $$;

CREATE FUNCTION public.stock_numbers(p_carrier text, p_test boolean, p_e164 text[], p_countries text[], p_operators text[]) RETURNS TABLE(known text, known_carrier text)
    LANGUAGE plpgsql
    AS $$
DECLARE
    taken_over bigint[];
BEGIN
    IF p_carrier <> 'simulated' THEN
        SELECT array_agg(number_id) INTO taken_over FROM number JOIN shelf USING (shelf_id)
         WHERE number.e164 = ANY (p_e164) AND shelf.carrier = 'simulated'
           AND NOT EXISTS (SELECT FROM frozen_number AS away WHERE away.number_id = number.number_id);
    END IF;
    IF taken_over IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(-number_id) FROM unnest(taken_over) AS one (number_id) ORDER BY number_id;
        SELECT array_agg(number_id) INTO taken_over FROM unnest(taken_over) AS one (number_id)
         WHERE NOT EXISTS (SELECT FROM activation WHERE activation.number_id = one.number_id AND ended_at IS NULL);
        DELETE FROM slot WHERE number_id = ANY (taken_over);
        DELETE FROM number WHERE number_id = ANY (taken_over);
    END IF;
    RETURN QUERY SELECT number.e164, shelf.carrier FROM number JOIN shelf USING (shelf_id)
                  WHERE number.e164 = ANY (p_e164);
    INSERT INTO shelf (country, carrier, operator, test)
    SELECT DISTINCT country, p_carrier, operator, p_test FROM unnest(p_countries, p_operators) AS row (country, operator)
     ORDER BY 1, 3
    ON CONFLICT DO NOTHING;
    WITH fresh AS (
        SELECT row.*, shelf.shelf_id, shelf.places AS taken,
               row_number() OVER (PARTITION BY shelf.shelf_id ORDER BY row.line) AS rank
          FROM unnest(p_e164, p_countries, p_operators) WITH ORDINALITY AS row (e164, country, operator, line)
          JOIN (SELECT * FROM shelf WHERE carrier = p_carrier AND test = p_test ORDER BY shelf_id FOR UPDATE) AS shelf
               ON shelf.country = row.country AND shelf.operator = row.operator
         WHERE NOT EXISTS (SELECT FROM number WHERE number.e164 = row.e164)
    ), placed AS (
        INSERT INTO number (e164, shelf_id, stripe, place)
        SELECT e164, shelf_id, (taken + rank) % 64, (taken + rank) / 64 + 1 FROM fresh
        RETURNING shelf_id
    )
    UPDATE shelf SET places = places + more.count
      FROM (SELECT shelf_id, count(*) FROM placed GROUP BY shelf_id) AS more WHERE more.shelf_id = shelf.shelf_id;
END $$;

CREATE FUNCTION public.take_fresh(p_service integer, p_shelf integer, p_stripe integer, p_account bigint, OUT picked public.number, OUT put_aside boolean) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE
    until timestamptz;
BEGIN
    put_aside := false;
    LOOP
        SELECT * INTO picked FROM fresh_in(p_service, p_shelf, p_stripe);
        IF picked.number_id IS NULL THEN
            RETURN;
        END IF;
        until := kept_off_until(p_service, picked, p_account);
        INSERT INTO slot (service_id, shelf_id, stripe, place, number_id, rested_at, open_at)
             VALUES (p_service, p_shelf, picked.stripe, picked.place, picked.number_id, 'infinity',
                     coalesce(until, 'infinity'));
        IF until IS NULL THEN
            RETURN;
        END IF;
        put_aside := true;
    END LOOP;
END $$;

CREATE TABLE public.assembly_part (
    assembly_id bigint NOT NULL,
    number smallint NOT NULL,
    alphabet text NOT NULL,
    payload bytea NOT NULL,
    stored_at timestamp with time zone DEFAULT now() NOT NULL,
    key_id bigint,
    echo boolean DEFAULT false NOT NULL,
    echo_of bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    foreign_echo boolean DEFAULT false NOT NULL,
    used boolean DEFAULT false NOT NULL,
    telling boolean DEFAULT false NOT NULL,
    fingerprint bytea,
    CONSTRAINT assembly_part_number_check CHECK (((number >= 1) AND (number <= 255)))
);

CREATE FUNCTION public.take_parts(p_assembly bigint, p_parts public.assembly_part[]) RETURNS TABLE(number smallint, alphabet text, payload bytea, key_id bigint, key bytea, began_at timestamp with time zone)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
BEGIN
    IF p_parts = '{}' THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT part.number, part.alphabet, part.payload, part.key_id, text_key.key, assembly.began_at
                   FROM unnest(p_parts) AS part JOIN assembly USING (assembly_id) LEFT JOIN text_key USING (key_id)
                  ORDER BY part.number;
    INSERT INTO finished_part (fingerprint, assembly_id)
    SELECT fingerprint, assembly_id FROM unnest(p_parts) AS part WHERE fingerprint IS NOT NULL;
    IF EXISTS (SELECT FROM unnest(p_parts) AS part WHERE NOT echo) THEN
        DELETE FROM assembly WHERE assembly_id = p_assembly;
    ELSE
        UPDATE assembly_part SET used = true WHERE assembly_id = p_assembly AND echo;
    END IF;
END $$;

CREATE FUNCTION public.take_slots(p_numbers bigint[]) RETURNS public.slot[]
    LANGUAGE plpgsql
    AS $$
DECLARE
    had slot[];
BEGIN
    PERFORM pg_advisory_xact_lock(-number_id) FROM (SELECT unnest(p_numbers) AS number_id ORDER BY 1) AS one;
    PERFORM FROM activation WHERE number_id = ANY (p_numbers) AND ended_at IS NULL
      ORDER BY activation_id FOR NO KEY UPDATE;
    WITH gone AS (
        DELETE FROM slot USING slots_of(p_numbers) AS old
         WHERE slot.service_id = old.service_id AND slot.shelf_id = old.shelf_id AND slot.stripe = old.stripe
           AND slot.place = old.place
        RETURNING slot.*
    )
    SELECT array_agg(row(gone.*)::slot) INTO had FROM gone;
    RETURN had;
END $$;

CREATE FUNCTION public.test_capped_because(p_account bigint, p_service integer, p_country text, p_stock bigint, p_max_active integer, p_max_any integer, p_share numeric, p_per_day integer, OUT problem text, OUT facts jsonb) RETURNS record
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    today constant date := (now() AT TIME ZONE 'UTC')::date;
    of_country constant integer := CASE WHEN p_share IS NOT NULL THEN greatest(10, floor(p_stock * p_share)) END;
    running record;
BEGIN
    SELECT count(*) AS active, min(expires_at) AS next_end,
           count(*) FILTER (WHERE service_id = 0) AS any_active, min(expires_at) FILTER (WHERE service_id = 0) AS any_end,
           count(*) FILTER (WHERE country = p_country) AS there, min(expires_at) FILTER (WHERE country = p_country) AS there_end
      INTO running FROM activation WHERE account_id = p_account AND test AND ended_at IS NULL;
    problem := 'too_many_active';
    IF running.active >= p_max_active THEN
        facts := jsonb_build_object('of', 'test', 'limit', p_max_active, 'retry_at', running.next_end);
    ELSIF p_service = 0 AND running.any_active >= p_max_any THEN
        facts := jsonb_build_object('of', 'any', 'limit', p_max_any, 'retry_at', running.any_end);
    ELSIF running.there >= of_country THEN
        facts := jsonb_build_object('of', 'country', 'limit', of_country, 'retry_at', running.there_end);
    ELSIF (SELECT sum(leases) FROM usage
            WHERE account_id = p_account AND test AND dimension = 'key' AND day = today) >= p_per_day THEN
        problem := 'too_many_purchases';
        facts := jsonb_build_object('of', 'test', 'limit', p_per_day, 'retry_at', today + 1);
    ELSE
        problem := NULL;
    END IF;
END $$;

CREATE FUNCTION public.text_seconds_bucket(p_seconds double precision) RETURNS smallint
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT least(floor(ln(1 + greatest(p_seconds, 0)) / ln(1.05)), 250)::smallint
$$;

CREATE FUNCTION public.texts_of(p_activation bigint) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_agg(jsonb_build_object(
               'revision', revision, 'code', code, 'full_text', body, 'sender', sender, 'incomplete', incomplete,
               'sealed', encode(sealed, 'hex'), 'key', encode(key, 'hex'),
               'received_at', to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) ORDER BY revision)
      FROM message LEFT JOIN text_key USING (key_id) WHERE activation_id = p_activation
$$;

CREATE FUNCTION public.too_many_cancels(p_account bigint, p_per_hour integer) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_build_object('limit', most, 'retry_at', (array_agg(ended_at ORDER BY ended_at DESC))[greatest(most, 1)] + interval '1 hour')
      FROM (SELECT coalesce((SELECT cancels_per_hour FROM account WHERE account_id = p_account), p_per_hour) AS most) AS cap,
           activation
     WHERE account_id = p_account AND capped AND NOT proved AND created_at > now() - interval '2 hours'
       AND state = 'cancelled' AND ended_at > now() - interval '1 hour'
     GROUP BY most HAVING count(*) >= most
$$;

CREATE FUNCTION public.unfreeze_number(p_e164 text) RETURNS SETOF bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    the_number number;
    thawed bigint;
BEGIN
    SELECT * INTO the_number FROM number WHERE e164 = p_e164;
    IF the_number.number_id IS NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(-the_number.number_id);
    DELETE FROM frozen_number WHERE number_id = the_number.number_id RETURNING number_id INTO thawed;
    IF thawed IS NOT NULL THEN
        UPDATE slot SET rested_at = now(), open_at = now() FROM service
         WHERE slot.service_id = service.service_id AND slot.shelf_id = the_number.shelf_id
           AND slot.stripe = the_number.stripe AND slot.place = the_number.place
           AND slot.rested_at = 'infinity' AND slot.open_at = 'infinity';
    END IF;
    RETURN NEXT thawed;
END $$;

CREATE FUNCTION public.wants(p_types text[], p_type text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT p_type = ANY (p_types) OR '*' = ANY (p_types) OR split_part(p_type, '.', 1) || '.*' = ANY (p_types)
$$;

CREATE FUNCTION public.whole_parts(p_assembly bigint, p_total integer, p_waited boolean) RETURNS SETOF public.assembly_part
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    fresh integer;
    echoes integer;
    known integer;
    doubtful boolean;
BEGIN
    SELECT count(*) FILTER (WHERE NOT echo), count(*) FILTER (WHERE echo), count(DISTINCT number)
      INTO fresh, echoes, known FROM assembly_part WHERE assembly_id = p_assembly;
    IF known < p_total THEN
        RETURN;
    ELSIF fresh = p_total THEN
        RETURN QUERY SELECT * FROM assembly_part WHERE assembly_id = p_assembly AND NOT echo;
        RETURN;
    ELSIF echoes = p_total  -- all of a text, again; in order, if it may have been somebody else's
      AND EXISTS (SELECT FROM assembly_part, unnest(echo_of) AS elder WHERE assembly_id = p_assembly AND echo AND NOT used
                   GROUP BY elder HAVING count(*) = p_total)
      AND NOT EXISTS (SELECT FROM assembly_part AS part JOIN assembly_part AS later USING (assembly_id)
                       WHERE assembly_id = p_assembly AND part.echo AND later.echo AND part.foreign_echo AND part.telling
                         AND later.number < part.number AND later.stored_at > part.stored_at) THEN
        RETURN QUERY SELECT * FROM assembly_part WHERE assembly_id = p_assembly AND echo;
        RETURN;
    ELSIF fresh = 0 THEN
        RETURN;
    END IF;
    SELECT NOT EXISTS (SELECT FROM assembly_part AS other, unnest(other.echo_of) AS elder
                        WHERE other.assembly_id = p_assembly AND other.echo
                          AND NOT EXISTS (SELECT FROM assembly_part AS part WHERE part.assembly_id = p_assembly
                                             AND part.number = other.number AND NOT part.echo)
                        GROUP BY elder HAVING count(*) = p_total - fresh)
           OR bool_or(filler.telling AND (filler.foreign_echo OR NOT p_waited))
           OR NOT p_waited
              AND bool_or(EXISTS (SELECT FROM assembly_part AS part WHERE assembly_id = p_assembly AND NOT part.echo
                                     AND part.number < filler.number AND part.stored_at > filler.stored_at))
              AND NOT bool_or(filler.stored_at > (SELECT min(stored_at) FROM assembly_part
                                                   WHERE assembly_id = p_assembly AND NOT echo))
      INTO doubtful
      FROM assembly_part AS filler
     WHERE assembly_id = p_assembly AND echo
       AND NOT EXISTS (SELECT FROM assembly_part AS part
                        WHERE assembly_id = p_assembly AND part.number = filler.number AND NOT part.echo);
    IF NOT doubtful THEN
        RETURN QUERY SELECT DISTINCT ON (number) * FROM assembly_part WHERE assembly_id = p_assembly ORDER BY number, echo;
    END IF;
END $$;

ALTER TABLE public.account ALTER COLUMN account_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.account_account_id_seq
    START WITH 1001
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE public.activation ALTER COLUMN activation_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.activation_activation_id_seq
    START WITH 10000001
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.api_key (
    key_id bigint NOT NULL,
    account_id bigint NOT NULL,
    mode public.key_mode NOT NULL,
    name text NOT NULL,
    secret_hash bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    cidrs cidr[] DEFAULT '{}'::cidr[] NOT NULL,
    last_used_at timestamp with time zone,
    rotated_from bigint,
    cap_day_micros bigint,
    cap_month_micros bigint,
    created_by bigint,
    elders bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    CONSTRAINT api_key_cap_day_micros_check CHECK ((cap_day_micros >= 0)),
    CONSTRAINT api_key_cap_month_micros_check CHECK ((cap_month_micros >= 0)),
    CONSTRAINT api_key_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT api_key_secret_hash_check CHECK ((length(secret_hash) = 32))
);

ALTER TABLE public.api_key ALTER COLUMN key_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.api_key_key_id_seq
    START WITH 1001
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.assembly (
    assembly_id bigint NOT NULL,
    carrier text NOT NULL,
    sender text NOT NULL,
    recipient text NOT NULL,
    reference integer NOT NULL,
    total smallint NOT NULL,
    touched_at timestamp with time zone DEFAULT now() NOT NULL,
    kind text DEFAULT ''::text NOT NULL,
    began_at timestamp with time zone DEFAULT now() NOT NULL,
    leases bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    closed boolean DEFAULT false NOT NULL,
    given_at timestamp with time zone,
    CONSTRAINT assembly_total_check CHECK (((total >= 2) AND (total <= 255)))
);

ALTER TABLE public.assembly ALTER COLUMN assembly_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.assembly_assembly_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.audit_entry (
    entry_id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text NOT NULL,
    account_id bigint,
    test boolean DEFAULT false NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    data jsonb DEFAULT '{}'::jsonb NOT NULL,
    address text,
    request_id text
);

ALTER TABLE public.audit_entry ALTER COLUMN entry_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_entry_entry_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.audit_head (
    single boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    hash bytea NOT NULL,
    signed_at timestamp with time zone NOT NULL,
    signature bytea NOT NULL,
    CONSTRAINT audit_head_single_check CHECK (single)
);

CREATE TABLE public.audit_link (
    "position" bigint NOT NULL,
    entry_id bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT audit_link_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT audit_link_position_check CHECK (("position" > 0))
);

CREATE TABLE public.audit_pending (
    entry_id bigint NOT NULL
);

CREATE TABLE public.balance (
    account_id bigint NOT NULL,
    currency text NOT NULL,
    available_micros bigint DEFAULT 0 NOT NULL,
    held_micros bigint DEFAULT 0 NOT NULL,
    CONSTRAINT balance_available CHECK ((available_micros >= 0)),
    CONSTRAINT balance_held CHECK ((held_micros >= 0))
)
WITH (fillfactor='50');

CREATE TABLE public.carrier_link (
    carrier text NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    detail text NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT carrier_link_state_check CHECK ((state = ANY (ARRAY['down'::text, 'connecting'::text, 'up'::text, 'standby'::text])))
);

CREATE TABLE public.carrier_owner (
    carrier text NOT NULL,
    epoch bigint NOT NULL,
    owner text NOT NULL,
    seen_at timestamp with time zone,
    wanted_by text,
    wanted_at timestamp with time zone
);

CREATE TABLE public.catalog_version (
    version bigint NOT NULL,
    services bigint DEFAULT 1 NOT NULL
);

CREATE TABLE public.component (
    name text NOT NULL,
    state public.component_state NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    turned_at timestamp with time zone DEFAULT now() NOT NULL,
    checked_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.component_day (
    name text NOT NULL,
    day date NOT NULL,
    up_seconds double precision DEFAULT 0 NOT NULL,
    down_seconds double precision DEFAULT 0 NOT NULL
);

CREATE VIEW public.credit_act AS
 SELECT act.entry_id,
    act.account_id,
    COALESCE((act.data ->> 'currency'::text), balance.currency) AS currency,
    (((((act.data -> act.field) #>> '{}'::text[]))::numeric * (1000000)::numeric))::bigint AS amount_micros
   FROM (( SELECT audit_entry.entry_id,
            audit_entry.at,
            audit_entry.actor,
            audit_entry.account_id,
            audit_entry.test,
            audit_entry.action,
            audit_entry.target,
            audit_entry.data,
            audit_entry.address,
            audit_entry.request_id,
                CASE audit_entry.action
                    WHEN 'account.created'::text THEN 'credit'::text
                    ELSE 'amount'::text
                END AS field
           FROM public.audit_entry
          WHERE (audit_entry.action = ANY (ARRAY['account.created'::text, 'account.credited'::text]))) act
     LEFT JOIN public.balance USING (account_id))
  WHERE ((jsonb_typeof((act.data -> act.field)) = 'number'::text) AND (((act.data -> act.field))::numeric > (0)::numeric));

CREATE TABLE public.deposit (
    deposit_id bigint NOT NULL,
    account_id bigint NOT NULL,
    amount_micros bigint NOT NULL,
    currency text NOT NULL,
    state public.deposit_state DEFAULT 'pending'::public.deposit_state NOT NULL,
    provider text NOT NULL,
    provider_ref text,
    checkout_url text,
    idempotency_key text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    paid_at timestamp with time zone,
    CONSTRAINT deposit_amount_micros_check CHECK ((amount_micros > 0)),
    CONSTRAINT deposit_paid CHECK (((paid_at IS NOT NULL) = (state = 'paid'::public.deposit_state)))
);

ALTER TABLE public.deposit ALTER COLUMN deposit_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.deposit_deposit_id_seq
    START WITH 1001
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE SEQUENCE public.event_number
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.event_number OWNED BY public.event.event_id;

CREATE TABLE public.event_rest (
    event_id bigint DEFAULT nextval('public.event_number'::regclass) CONSTRAINT event_event_id_not_null1 NOT NULL,
    xact xid8 DEFAULT pg_current_xact_id() CONSTRAINT event_xact_not_null1 NOT NULL,
    horizon pg_snapshot DEFAULT pg_current_snapshot() CONSTRAINT event_horizon_not_null NOT NULL,
    account_id bigint CONSTRAINT event_account_id_not_null1 NOT NULL,
    test boolean CONSTRAINT event_test_not_null1 NOT NULL,
    activation_id bigint,
    endpoint_id bigint,
    type text CONSTRAINT event_type_not_null1 NOT NULL,
    data jsonb DEFAULT '{}'::jsonb CONSTRAINT event_data_not_null1 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT event_created_at_not_null1 NOT NULL
);

CREATE TABLE public.exhausted (
    service_id integer NOT NULL,
    shelf_id integer NOT NULL,
    places integer CONSTRAINT exhausted_numbers_not_null NOT NULL
);

CREATE TABLE public.finished_part (
    fingerprint bytea NOT NULL,
    assembly_id bigint NOT NULL,
    finished_at timestamp with time zone DEFAULT now() NOT NULL,
    erased boolean DEFAULT false NOT NULL
);

CREATE TABLE public.frozen_number (
    number_id bigint NOT NULL,
    reason text NOT NULL,
    frozen_at timestamp with time zone DEFAULT now() NOT NULL,
    retired boolean DEFAULT false NOT NULL
);

CREATE TABLE public.idempotent_answer (
    account_id bigint NOT NULL,
    mode public.key_mode NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    answer bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotent_answer_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255)))
);

CREATE TABLE public.incident (
    incident_id bigint NOT NULL,
    title text NOT NULL,
    impact text NOT NULL,
    components text[] NOT NULL,
    opened_by text NOT NULL,
    opened_at timestamp with time zone DEFAULT now() NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT incident_impact_check CHECK ((impact = ANY (ARRAY['none'::text, 'minor'::text, 'major'::text, 'critical'::text]))),
    CONSTRAINT incident_opened_by_check CHECK ((opened_by = ANY (ARRAY['operator'::text, 'health'::text]))),
    CONSTRAINT incident_title_check CHECK (((length(title) >= 1) AND (length(title) <= 200)))
);

ALTER TABLE public.incident ALTER COLUMN incident_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.incident_incident_id_seq
    START WITH 1001
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.incident_update (
    update_id bigint NOT NULL,
    incident_id bigint NOT NULL,
    state text NOT NULL,
    body text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT incident_update_body_check CHECK (((length(body) >= 1) AND (length(body) <= 4000))),
    CONSTRAINT incident_update_state_check CHECK ((state = ANY (ARRAY['investigating'::text, 'identified'::text, 'monitoring'::text, 'resolved'::text])))
);

ALTER TABLE public.incident_update ALTER COLUMN update_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.incident_update_update_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.label_day (
    account_id bigint NOT NULL,
    test boolean NOT NULL,
    day date NOT NULL,
    dimension text NOT NULL,
    told_apart integer DEFAULT 1 NOT NULL,
    CONSTRAINT label_day_dimension_check CHECK ((dimension ~~ 'label.%'::text))
)
WITH (fillfactor='70');

CREATE TABLE public.message (
    message_id bigint NOT NULL,
    number_id bigint,
    activation_id bigint,
    revision integer,
    carrier text NOT NULL,
    sender text NOT NULL,
    recipient text NOT NULL,
    body text,
    code text,
    reason text,
    fingerprint bytea,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    key_id bigint,
    sealed bytea,
    erase_after timestamp with time zone,
    session text,
    identity text,
    incomplete boolean DEFAULT false NOT NULL,
    repeats integer DEFAULT 0 NOT NULL,
    repeated_at timestamp with time zone,
    CONSTRAINT message_owner CHECK ((((activation_id IS NULL) = (revision IS NULL)) AND ((activation_id IS NOT NULL) OR (reason IS NOT NULL))))
);

ALTER TABLE public.message ALTER COLUMN message_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.message_message_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE public.number ALTER COLUMN number_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.number_number_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.outcome_day (
    day date NOT NULL,
    test boolean NOT NULL,
    country text NOT NULL,
    service_id integer NOT NULL,
    operator text NOT NULL,
    carrier text NOT NULL,
    bucket smallint NOT NULL,
    leases integer NOT NULL
);

CREATE TABLE public.outcome_hour (
    hour timestamp with time zone NOT NULL,
    test boolean NOT NULL,
    country text NOT NULL,
    service_id integer NOT NULL,
    operator text NOT NULL,
    carrier text NOT NULL,
    bucket smallint NOT NULL,
    leases integer NOT NULL
);

CREATE TABLE public.transfer (
    transfer_id bigint NOT NULL,
    account_id bigint NOT NULL,
    activation_id bigint,
    kind public.transfer_kind NOT NULL,
    debit public.book NOT NULL,
    credit public.book NOT NULL,
    amount_micros bigint NOT NULL,
    currency text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    deposit_id bigint,
    act_id bigint,
    CONSTRAINT transfer_act_is_credit CHECK (((act_id IS NULL) OR ((kind = 'credit'::public.transfer_kind) AND (deposit_id IS NULL)))),
    CONSTRAINT transfer_amount_micros_check CHECK ((amount_micros > 0)),
    CONSTRAINT transfer_cause CHECK (((kind = 'credit'::public.transfer_kind) = (activation_id IS NULL))),
    CONSTRAINT transfer_deposit_is_credit CHECK (((deposit_id IS NULL) OR (kind = 'credit'::public.transfer_kind))),
    CONSTRAINT transfer_moves CHECK ((((kind = 'credit'::public.transfer_kind) AND (debit = 'funding'::public.book) AND (credit = 'available'::public.book)) OR ((kind = 'hold'::public.transfer_kind) AND (debit = 'available'::public.book) AND (credit = 'held'::public.book)) OR ((kind = 'capture'::public.transfer_kind) AND (debit = 'held'::public.book) AND (credit = 'revenue'::public.book)) OR ((kind = 'release'::public.transfer_kind) AND (debit = 'held'::public.book) AND (credit = 'available'::public.book)) OR ((kind = 'fee'::public.transfer_kind) AND (debit = 'held'::public.book) AND (credit = 'revenue'::public.book))))
);

CREATE VIEW public.posting AS
 SELECT transfer.transfer_id,
    transfer.account_id,
    transfer.activation_id,
    transfer.kind,
    transfer.debit AS book,
    (- transfer.amount_micros) AS amount_micros,
    transfer.currency,
    transfer.created_at
   FROM public.transfer
UNION ALL
 SELECT transfer.transfer_id,
    transfer.account_id,
    transfer.activation_id,
    transfer.kind,
    transfer.credit AS book,
    transfer.amount_micros,
    transfer.currency,
    transfer.created_at
   FROM public.transfer;

CREATE TABLE public.price_rule (
    service_id integer,
    country text,
    currency text NOT NULL,
    price_micros bigint NOT NULL,
    CONSTRAINT price_rule_country_check CHECK ((country ~ '^[a-z]{2}$'::text)),
    CONSTRAINT price_rule_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT price_rule_price_micros_check CHECK ((price_micros >= 0))
);

CREATE TABLE public.price_tier (
    from_completed integer NOT NULL,
    percent_off numeric(5,2) NOT NULL,
    CONSTRAINT price_tier_from_completed_check CHECK ((from_completed > 0)),
    CONSTRAINT price_tier_percent_off_check CHECK (((percent_off > (0)::numeric) AND (percent_off <= (100)::numeric)))
);

CREATE TABLE public.repeat_key (
    day date NOT NULL,
    key bytea,
    CONSTRAINT repeat_key_key_check CHECK ((length(key) = 32))
);

CREATE TABLE public.schema_version (
    name text NOT NULL,
    digest text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.service (
    service_id integer NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    domain text,
    senders text[] DEFAULT '{}'::text[] NOT NULL,
    aliases text[] DEFAULT '{}'::text[] NOT NULL,
    magic boolean DEFAULT false NOT NULL,
    CONSTRAINT service_slug_check CHECK ((slug ~ '^[a-z0-9][a-z0-9_-]{0,63}$'::text))
);

CREATE TABLE public.service_control (
    account_id bigint NOT NULL,
    service_id integer NOT NULL,
    domain text NOT NULL,
    method text NOT NULL,
    token text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    proved_at timestamp with time zone,
    CONSTRAINT service_control_method_check CHECK ((method = ANY (ARRAY['dns'::text, 'file'::text])))
);

ALTER TABLE public.service ALTER COLUMN service_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.service_service_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.service_switch (
    service_id integer NOT NULL,
    country text,
    enabled boolean NOT NULL,
    CONSTRAINT service_switch_country_check CHECK ((country ~ '^[a-z]{2}$'::text))
);

CREATE TABLE public.shelf (
    shelf_id integer NOT NULL,
    country text NOT NULL,
    carrier text NOT NULL,
    operator text DEFAULT ''::text NOT NULL,
    test boolean DEFAULT false NOT NULL,
    numbers integer DEFAULT 0 NOT NULL,
    places integer DEFAULT 0 NOT NULL,
    CONSTRAINT shelf_country_check CHECK ((country ~ '^[a-z]{2}$'::text))
);

ALTER TABLE public.shelf ALTER COLUMN shelf_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.shelf_shelf_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.simulated_text (
    simulated_text_id bigint NOT NULL,
    due_at timestamp with time zone NOT NULL,
    activation_id bigint NOT NULL,
    recipient text NOT NULL,
    sender text NOT NULL,
    body text NOT NULL
);

ALTER TABLE public.simulated_text ALTER COLUMN simulated_text_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.simulated_text_simulated_text_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.text_key (
    key_id bigint NOT NULL,
    day date NOT NULL,
    days smallint NOT NULL,
    key bytea,
    CONSTRAINT text_key_key_check CHECK ((length(key) = 32))
);

ALTER TABLE public.text_key ALTER COLUMN key_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.text_key_key_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE public.transfer ALTER COLUMN transfer_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.transfer_transfer_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.usage (
    account_id bigint NOT NULL,
    test boolean NOT NULL,
    dimension text NOT NULL,
    day date NOT NULL,
    value text NOT NULL,
    leases integer DEFAULT 0 NOT NULL,
    received integer DEFAULT 0 NOT NULL,
    cancelled integer DEFAULT 0 NOT NULL,
    expired integer DEFAULT 0 NOT NULL,
    micros bigint DEFAULT 0 NOT NULL,
    CONSTRAINT usage_dimension_check CHECK (((dimension = ANY (ARRAY['key'::text, 'service'::text, 'country'::text])) OR (dimension ~~ 'label.%'::text)))
)
WITH (fillfactor='70');

CREATE TABLE public.webhook_attempt (
    delivery_id bigint NOT NULL,
    number smallint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    url text NOT NULL,
    duration_ms integer NOT NULL,
    status smallint,
    reason text,
    address text,
    answer bytea,
    key_id bigint
);

CREATE TABLE public.webhook_delivery (
    delivery_id bigint NOT NULL,
    endpoint_id bigint NOT NULL,
    account_id bigint NOT NULL,
    event_id bigint NOT NULL,
    event_at timestamp with time zone NOT NULL,
    state public.delivery_state DEFAULT 'pending'::public.delivery_state NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    since smallint DEFAULT 0 NOT NULL,
    lease integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT webhook_delivery_ends CHECK (((ended_at IS NULL) = (state = 'pending'::public.delivery_state)))
)
WITH (fillfactor='70');

ALTER TABLE public.webhook_delivery ALTER COLUMN delivery_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.webhook_delivery_delivery_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.webhook_endpoint (
    endpoint_id bigint NOT NULL,
    account_id bigint NOT NULL,
    test boolean NOT NULL,
    url text NOT NULL,
    events text[] NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    disabled_at timestamp with time zone,
    disabled_reason text,
    deleted_at timestamp with time zone,
    failing_since timestamp with time zone,
    paused_until timestamp with time zone,
    CONSTRAINT webhook_endpoint_disabled CHECK (((disabled_at IS NULL) = (disabled_reason IS NULL))),
    CONSTRAINT webhook_endpoint_events_check CHECK ((cardinality(events) > 0)),
    CONSTRAINT webhook_endpoint_url_check CHECK (((length(url) >= 1) AND (length(url) <= 2048)))
);

ALTER TABLE public.webhook_endpoint ALTER COLUMN endpoint_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.webhook_endpoint_endpoint_id_seq
    START WITH 1001
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.webhook_secret (
    secret_id bigint NOT NULL,
    endpoint_id bigint NOT NULL,
    secret bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    CONSTRAINT webhook_secret_secret_check CHECK (((length(secret) >= 24) AND (length(secret) <= 64)))
);

ALTER TABLE public.webhook_secret ALTER COLUMN secret_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.webhook_secret_secret_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY public.event ATTACH PARTITION public.event_rest DEFAULT;

ALTER TABLE ONLY public.event ALTER COLUMN event_id SET DEFAULT nextval('public.event_number'::regclass);

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.activation
    ADD CONSTRAINT activation_pkey PRIMARY KEY (activation_id);

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_secret_hash_key UNIQUE (secret_hash);

ALTER TABLE ONLY public.assembly_part
    ADD CONSTRAINT assembly_part_pkey PRIMARY KEY (assembly_id, number, echo);

ALTER TABLE ONLY public.assembly
    ADD CONSTRAINT assembly_pkey PRIMARY KEY (assembly_id);

ALTER TABLE ONLY public.audit_entry
    ADD CONSTRAINT audit_entry_pkey PRIMARY KEY (entry_id);

ALTER TABLE ONLY public.audit_head
    ADD CONSTRAINT audit_head_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.audit_link
    ADD CONSTRAINT audit_link_entry_id_key UNIQUE (entry_id);

ALTER TABLE ONLY public.audit_link
    ADD CONSTRAINT audit_link_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY public.audit_pending
    ADD CONSTRAINT audit_pending_pkey PRIMARY KEY (entry_id);

ALTER TABLE ONLY public.balance
    ADD CONSTRAINT balance_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.carrier_link
    ADD CONSTRAINT carrier_link_pkey PRIMARY KEY (carrier);

ALTER TABLE ONLY public.carrier_owner
    ADD CONSTRAINT carrier_owner_pkey PRIMARY KEY (carrier);

ALTER TABLE ONLY public.component_day
    ADD CONSTRAINT component_day_pkey PRIMARY KEY (name, day);

ALTER TABLE ONLY public.component
    ADD CONSTRAINT component_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.deposit
    ADD CONSTRAINT deposit_pkey PRIMARY KEY (deposit_id);

ALTER TABLE ONLY public.deposit
    ADD CONSTRAINT deposit_provider_provider_ref_key UNIQUE (provider, provider_ref);

ALTER TABLE ONLY public.exhausted
    ADD CONSTRAINT exhausted_pkey PRIMARY KEY (service_id, shelf_id);

ALTER TABLE ONLY public.frozen_number
    ADD CONSTRAINT frozen_number_pkey PRIMARY KEY (number_id);

ALTER TABLE ONLY public.idempotent_answer
    ADD CONSTRAINT idempotent_answer_pkey PRIMARY KEY (account_id, mode, key);

ALTER TABLE ONLY public.incident
    ADD CONSTRAINT incident_pkey PRIMARY KEY (incident_id);

ALTER TABLE ONLY public.incident_update
    ADD CONSTRAINT incident_update_pkey PRIMARY KEY (update_id);

ALTER TABLE ONLY public.label_day
    ADD CONSTRAINT label_day_pkey PRIMARY KEY (account_id, test, day, dimension);

ALTER TABLE ONLY public.message
    ADD CONSTRAINT message_pkey PRIMARY KEY (message_id);

ALTER TABLE ONLY public.number
    ADD CONSTRAINT number_e164_key UNIQUE (e164);

ALTER TABLE ONLY public.number
    ADD CONSTRAINT number_pkey PRIMARY KEY (number_id);

ALTER TABLE ONLY public.number
    ADD CONSTRAINT number_shelf_id_stripe_place_key UNIQUE (shelf_id, stripe, place);

ALTER TABLE ONLY public.outcome_day
    ADD CONSTRAINT outcome_day_pkey PRIMARY KEY (day, test, country, service_id, operator, carrier, bucket);

ALTER TABLE ONLY public.outcome_hour
    ADD CONSTRAINT outcome_hour_pkey PRIMARY KEY (hour, test, country, service_id, operator, carrier, bucket);

ALTER TABLE ONLY public.price_rule
    ADD CONSTRAINT price_rule_service_id_country_currency_key UNIQUE NULLS NOT DISTINCT (service_id, country, currency);

ALTER TABLE ONLY public.price_tier
    ADD CONSTRAINT price_tier_pkey PRIMARY KEY (from_completed);

ALTER TABLE ONLY public.repeat_key
    ADD CONSTRAINT repeat_key_pkey PRIMARY KEY (day);

ALTER TABLE ONLY public.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.service_control
    ADD CONSTRAINT service_control_pkey PRIMARY KEY (account_id, service_id);

ALTER TABLE ONLY public.service
    ADD CONSTRAINT service_pkey PRIMARY KEY (service_id);

ALTER TABLE ONLY public.service
    ADD CONSTRAINT service_slug_key UNIQUE (slug);

ALTER TABLE ONLY public.service_switch
    ADD CONSTRAINT service_switch_service_id_country_key UNIQUE NULLS NOT DISTINCT (service_id, country);

ALTER TABLE ONLY public.shelf
    ADD CONSTRAINT shelf_country_carrier_operator_test_key UNIQUE (country, carrier, operator, test);

ALTER TABLE ONLY public.shelf
    ADD CONSTRAINT shelf_pkey PRIMARY KEY (shelf_id);

ALTER TABLE ONLY public.simulated_text
    ADD CONSTRAINT simulated_text_pkey PRIMARY KEY (simulated_text_id);

ALTER TABLE ONLY public.slot
    ADD CONSTRAINT slot_pkey PRIMARY KEY (service_id, shelf_id, stripe, place);

ALTER TABLE ONLY public.tail_position
    ADD CONSTRAINT tail_position_pkey PRIMARY KEY (consumer);

ALTER TABLE ONLY public.text_key
    ADD CONSTRAINT text_key_day_days_key UNIQUE (day, days);

ALTER TABLE ONLY public.text_key
    ADD CONSTRAINT text_key_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY public.transfer
    ADD CONSTRAINT transfer_pkey PRIMARY KEY (transfer_id);

ALTER TABLE ONLY public.usage
    ADD CONSTRAINT usage_pkey PRIMARY KEY (account_id, test, dimension, day, value);

ALTER TABLE ONLY public.webhook_attempt
    ADD CONSTRAINT webhook_attempt_pkey PRIMARY KEY (delivery_id, number);

ALTER TABLE ONLY public.webhook_delivery
    ADD CONSTRAINT webhook_delivery_endpoint_id_event_id_key UNIQUE (endpoint_id, event_id);

ALTER TABLE ONLY public.webhook_delivery
    ADD CONSTRAINT webhook_delivery_pkey PRIMARY KEY (delivery_id);

ALTER TABLE ONLY public.webhook_endpoint
    ADD CONSTRAINT webhook_endpoint_pkey PRIMARY KEY (endpoint_id);

ALTER TABLE ONLY public.webhook_secret
    ADD CONSTRAINT webhook_secret_pkey PRIMARY KEY (secret_id);

CREATE UNIQUE INDEX account_email ON public.account USING btree (lower(email));

CREATE INDEX activation_capped ON public.activation USING btree (account_id, created_at) WHERE capped;

CREATE INDEX activation_due ON public.activation USING btree (expires_at) WHERE (ended_at IS NULL);

CREATE INDEX activation_erase ON public.activation USING btree (erase_after) WHERE (erase_after IS NOT NULL);

CREATE INDEX activation_list ON public.activation USING btree (account_id, test, activation_id);

CREATE UNIQUE INDEX activation_live ON public.activation USING btree (number_id, service_id) WHERE (ended_at IS NULL);

CREATE INDEX activation_run ON public.activation USING btree (account_id, test, ((labels ->> 'run_id'::text)), activation_id) WHERE (labels ? 'run_id'::text);

CREATE INDEX activation_tested ON public.activation USING btree (ended_at) WHERE (test AND (ended_at IS NOT NULL));

CREATE INDEX activation_testing ON public.activation USING btree (account_id, expires_at) INCLUDE (country, service_id) WHERE (test AND (ended_at IS NULL));

CREATE INDEX api_key_good ON public.api_key USING btree (account_id, mode, expires_at) WHERE (revoked_at IS NULL);

CREATE INDEX api_key_made ON public.api_key USING btree (account_id, mode, created_at);

CREATE UNIQUE INDEX assembly_open ON public.assembly USING btree (carrier, sender, recipient, kind, reference, total) WHERE (NOT closed);

CREATE INDEX assembly_waits ON public.assembly USING btree (recipient) WHERE (given_at IS NULL);

CREATE INDEX audit_entry_account ON public.audit_entry USING btree (account_id, test, entry_id);

CREATE INDEX deposit_account ON public.deposit USING btree (account_id, deposit_id);

CREATE INDEX event_account ON ONLY public.event USING btree (account_id, event_id);

CREATE INDEX event_activation ON ONLY public.event USING btree (activation_id, event_id) WHERE (activation_id IS NOT NULL);

CREATE INDEX event_rest_account_id_event_id_idx ON public.event_rest USING btree (account_id, event_id);

CREATE INDEX event_rest_activation_id_event_id_idx ON public.event_rest USING btree (activation_id, event_id) WHERE (activation_id IS NOT NULL);

CREATE INDEX event_tail ON ONLY public.event USING btree (xact, event_id);

CREATE INDEX event_rest_xact_event_id_idx ON public.event_rest USING btree (xact, event_id);

CREATE INDEX finished_part_forget ON public.finished_part USING btree (finished_at);

CREATE INDEX finished_part_known ON public.finished_part USING btree (fingerprint);

CREATE INDEX idempotent_answer_age ON public.idempotent_answer USING btree (created_at);

CREATE UNIQUE INDEX incident_health ON public.incident USING btree (components) WHERE ((opened_by = 'health'::text) AND (closed_at IS NULL));

CREATE INDEX incident_update_of ON public.incident_update USING btree (incident_id, update_id);

CREATE INDEX label_day_age ON public.label_day USING btree (day);

CREATE INDEX message_erase ON public.message USING btree (erase_after) WHERE (erase_after IS NOT NULL);

CREATE INDEX message_forget ON public.message USING btree (received_at) WHERE (fingerprint IS NOT NULL);

CREATE INDEX message_known ON public.message USING btree (fingerprint) WHERE (fingerprint IS NOT NULL);

CREATE INDEX message_nobodys ON public.message USING btree (message_id DESC) WHERE ((activation_id IS NULL) OR (repeats > 0));

CREATE UNIQUE INDEX message_revision ON public.message USING btree (activation_id, revision) WHERE (activation_id IS NOT NULL);

CREATE INDEX message_unmatched ON public.message USING btree (number_id, received_at) WHERE (activation_id IS NULL);

CREATE INDEX number_ending ON public.number USING btree ("right"(e164, 6));

CREATE INDEX simulated_text_due ON public.simulated_text USING btree (due_at);

CREATE INDEX slot_aside ON public.slot USING btree (number_id) WHERE ((rested_at = 'infinity'::timestamp with time zone) AND (open_at <> 'infinity'::timestamp with time zone));

CREATE INDEX slot_open ON public.slot USING btree (service_id, shelf_id, open_at);

CREATE INDEX slot_resting ON public.slot USING btree (number_id, open_at) WHERE (last_account IS NOT NULL);

CREATE INDEX transfer_account ON public.transfer USING btree (account_id, transfer_id);

CREATE UNIQUE INDEX transfer_act ON public.transfer USING btree (act_id) WHERE (act_id IS NOT NULL);

CREATE UNIQUE INDEX transfer_deposit ON public.transfer USING btree (deposit_id) WHERE (deposit_id IS NOT NULL);

CREATE UNIQUE INDEX transfer_once ON public.transfer USING btree (activation_id, (
CASE kind
    WHEN 'hold'::public.transfer_kind THEN 1
    WHEN 'fee'::public.transfer_kind THEN 2
    ELSE 3
END)) WHERE (activation_id IS NOT NULL);

CREATE INDEX usage_labels ON public.usage USING btree (day) WHERE ((dimension ~~ 'label.%'::text) AND (value <> 'other'::text));

CREATE INDEX usage_tested ON public.usage USING btree (day) WHERE test;

CREATE INDEX webhook_attempt_age ON public.webhook_attempt USING btree (at);

CREATE INDEX webhook_delivery_due ON public.webhook_delivery USING btree (endpoint_id, next_at, delivery_id) WHERE (state = 'pending'::public.delivery_state);

CREATE INDEX webhook_delivery_failed ON public.webhook_delivery USING btree (endpoint_id, event_id) WHERE (state = 'failed'::public.delivery_state);

CREATE INDEX webhook_endpoint_account ON public.webhook_endpoint USING btree (account_id, test, endpoint_id) WHERE (deleted_at IS NULL);

CREATE INDEX webhook_secret_endpoint ON public.webhook_secret USING btree (endpoint_id);

ALTER INDEX public.event_account ATTACH PARTITION public.event_rest_account_id_event_id_idx;

ALTER INDEX public.event_activation ATTACH PARTITION public.event_rest_activation_id_event_id_idx;

ALTER INDEX public.event_tail ATTACH PARTITION public.event_rest_xact_event_id_idx;

CREATE TRIGGER audit_entry_awaits_link AFTER INSERT ON public.audit_entry REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION public.await_link();

CREATE TRIGGER audit_entry_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_entry FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER audit_link_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_link FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER lease_counts AFTER UPDATE ON public.activation REFERENCING OLD TABLE AS before NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION public.keep_usage();

CREATE TRIGGER lease_is_counted AFTER INSERT ON public.activation REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION public.keep_usage();

CREATE TRIGGER numbers_come AFTER INSERT ON public.number REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.count_numbers();

CREATE TRIGGER numbers_go AFTER DELETE ON public.number REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.count_numbers();

CREATE TRIGGER numbers_move AFTER UPDATE ON public.number REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.count_numbers();

CREATE TRIGGER numbers_put_away AFTER INSERT ON public.frozen_number REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.count_away();

CREATE TRIGGER numbers_put_back AFTER DELETE ON public.frozen_number REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.count_away();

CREATE TRIGGER price_changes AFTER INSERT OR DELETE OR UPDATE ON public.price_rule FOR EACH STATEMENT EXECUTE FUNCTION public.count_catalog_change();

CREATE TRIGGER service_changes AFTER INSERT OR DELETE OR UPDATE ON public.service FOR EACH STATEMENT EXECUTE FUNCTION public.count_catalog_change();

CREATE TRIGGER service_moves AFTER UPDATE ON public.service REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION public.end_proofs_of_other_domains();

CREATE TRIGGER shelf_changes AFTER INSERT OR DELETE OR UPDATE ON public.shelf FOR EACH STATEMENT EXECUTE FUNCTION public.count_catalog_change();

CREATE TRIGGER switch_changes AFTER INSERT OR DELETE OR UPDATE ON public.service_switch FOR EACH STATEMENT EXECUTE FUNCTION public.count_catalog_change();

CREATE TRIGGER transfer_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.transfer FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER transfer_keeps_balance AFTER INSERT ON public.transfer REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION public.keep_balance();

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id);

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.api_key(key_id);

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_rotated_from_fkey FOREIGN KEY (rotated_from) REFERENCES public.api_key(key_id);

ALTER TABLE ONLY public.assembly_part
    ADD CONSTRAINT assembly_part_assembly_id_fkey FOREIGN KEY (assembly_id) REFERENCES public.assembly(assembly_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.balance
    ADD CONSTRAINT balance_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id);

ALTER TABLE ONLY public.deposit
    ADD CONSTRAINT deposit_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id);

ALTER TABLE ONLY public.incident_update
    ADD CONSTRAINT incident_update_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES public.incident(incident_id);

ALTER TABLE ONLY public.number
    ADD CONSTRAINT number_shelf_id_fkey FOREIGN KEY (shelf_id) REFERENCES public.shelf(shelf_id);

ALTER TABLE ONLY public.price_rule
    ADD CONSTRAINT price_rule_service_id_fkey FOREIGN KEY (service_id) REFERENCES public.service(service_id);

ALTER TABLE ONLY public.service_control
    ADD CONSTRAINT service_control_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id);

ALTER TABLE ONLY public.service_control
    ADD CONSTRAINT service_control_service_id_fkey FOREIGN KEY (service_id) REFERENCES public.service(service_id);

ALTER TABLE ONLY public.service_switch
    ADD CONSTRAINT service_switch_service_id_fkey FOREIGN KEY (service_id) REFERENCES public.service(service_id);

ALTER TABLE ONLY public.transfer
    ADD CONSTRAINT transfer_deposit_id_fkey FOREIGN KEY (deposit_id) REFERENCES public.deposit(deposit_id);

ALTER TABLE ONLY public.webhook_endpoint
    ADD CONSTRAINT webhook_endpoint_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id);

ALTER TABLE ONLY public.webhook_secret
    ADD CONSTRAINT webhook_secret_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.webhook_endpoint(endpoint_id);
