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

CREATE TYPE public.send_state AS ENUM (
    'queued',
    'submitting',
    'sent',
    'delivered',
    'undelivered',
    'unknown',
    'refused',
    'dropped'
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

CREATE TYPE public.verification_state AS ENUM (
    'pending',
    'approved',
    'failed',
    'expired',
    'cancelled',
    'blocked'
);

CREATE FUNCTION public.assemble(p_carrier text, p_sender text, p_recipient text, p_kind text, p_reference integer, p_total smallint, p_number smallint, p_alphabet text, p_payload bytea, p_key bigint, p_telling boolean, p_known bytea[]) RETURNS TABLE(number smallint, alphabet text, payload bytea, key_id bigint, key bytea, began_at timestamp with time zone)
    LANGUAGE plpgsql;

CREATE FUNCTION public.await_link() RETURNS trigger
    LANGUAGE plpgsql;

CREATE FUNCTION public.await_turn(p_countries text[], p_services text[]) RETURNS text[]
    LANGUAGE plpgsql;

CREATE TABLE public.verification (
    verification_id bigint NOT NULL,
    account_id bigint NOT NULL,
    key_id bigint NOT NULL,
    test boolean NOT NULL,
    profile text NOT NULL,
    e164 text NOT NULL,
    country text NOT NULL,
    prefix text NOT NULL,
    address cidr,
    state public.verification_state DEFAULT 'pending'::public.verification_state NOT NULL,
    mac bytea,
    sealed bytea,
    locale text,
    template text,
    digits smallint,
    bound boolean DEFAULT false NOT NULL,
    checks_left smallint NOT NULL,
    sends_left smallint NOT NULL,
    failed smallint DEFAULT 0 NOT NULL,
    failed_at timestamp with time zone,
    charge text NOT NULL,
    cost_micros bigint NOT NULL,
    held_micros bigint DEFAULT 0 NOT NULL,
    captured_micros bigint DEFAULT 0 NOT NULL,
    released_micros bigint DEFAULT 0 NOT NULL,
    currency text NOT NULL,
    metadata jsonb,
    decisions jsonb,
    day date DEFAULT ((now() AT TIME ZONE 'UTC'::text))::date NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    resend_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT verification_charge_check CHECK ((charge = ANY (ARRAY['approved'::text, 'sent'::text]))),
    CONSTRAINT verification_checks_left_check CHECK ((checks_left >= 0)),
    CONSTRAINT verification_cost_micros_check CHECK ((cost_micros >= 0)),
    CONSTRAINT verification_e164_check CHECK ((e164 ~ '^\+[1-9][0-9]{6,14}$'::text)),
    CONSTRAINT verification_ends CHECK (((ended_at IS NOT NULL) = (state <> 'pending'::public.verification_state))),
    CONSTRAINT verification_mac_check CHECK ((length(mac) = 32)),
    CONSTRAINT verification_money CHECK (((captured_micros + released_micros) <= held_micros)),
    CONSTRAINT verification_secret CHECK (((state = 'pending'::public.verification_state) OR ((mac IS NULL) AND (sealed IS NULL)))),
    CONSTRAINT verification_sends_left_check CHECK ((sends_left >= 0))
)
WITH (fillfactor='80');

COMMENT ON TABLE public.verification IS 'A code sent to a phone number. pending → approved, failed, expired or cancelled; blocked by the guard from the start.';

CREATE FUNCTION public.cancel_verification(p_account bigint, p_test boolean, p_verification bigint, OUT problem text, OUT one public.verification) RETURNS record
    LANGUAGE plpgsql;

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

COMMENT ON TABLE public.account IS 'A customer: currency, limits and the operator''s overrides of the caps.';

CREATE FUNCTION public.capped_because(p_account public.account, p_max_active integer, p_per_hour integer, p_floor numeric, p_proved boolean, OUT problem text, OUT facts jsonb) RETURNS record
    LANGUAGE plpgsql STABLE;

CREATE FUNCTION public.change_of(p_book public.book, p_debit public.book, p_credit public.book, p_micros bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE;

CREATE FUNCTION public.check_verification(p_account bigint, p_test boolean, p_verification bigint, p_mac bytea, p_most_failed integer, OUT problem text, OUT retry_at timestamp with time zone, OUT one public.verification) RETURNS record
    LANGUAGE plpgsql;

CREATE FUNCTION public.claim_sends(p_carriers text[], p_limit integer) RETURNS TABLE(send_id bigint, lease integer, carrier text, sender text, e164 text, sealed bytea, verification_id bigint, seconds_left double precision, has_others boolean)
    LANGUAGE sql;

CREATE FUNCTION public.close_assembly(p_assembly bigint) RETURNS void
    LANGUAGE sql;

CREATE FUNCTION public.contents_of(p_account bigint, p_event bigint, p_at timestamp with time zone) RETURNS TABLE(event_id bigint, type text, data jsonb, created_at timestamp with time zone, activation_id bigint, e164 text, country text, service text, cost_micros bigint, refund_micros bigint, currency text, labels jsonb, revision integer, sender text, received_at timestamp with time zone, incomplete boolean, code text, body text, sealed bytea, key bytea)
    LANGUAGE sql STABLE;

CREATE FUNCTION public.count_away() RETURNS trigger
    LANGUAGE plpgsql;

CREATE FUNCTION public.count_catalog_change() RETURNS trigger
    LANGUAGE plpgsql;

CREATE FUNCTION public.count_numbers() RETURNS trigger
    LANGUAGE plpgsql;

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

COMMENT ON TABLE public.event IS 'The transactional outbox, partitioned by day: what happened, written in the transaction in which it happened.';

CREATE FUNCTION public.count_outcomes(p_events public.event[]) RETURNS void
    LANGUAGE sql;

CREATE FUNCTION public.count_traffic(p_verifications bigint[], p_starts integer, p_blocked integer, p_decided integer, p_approved integer, p_micros bigint) RETURNS void
    LANGUAGE sql;

CREATE FUNCTION public.count_usage(p_used public.used[]) RETURNS void
    LANGUAGE sql;

CREATE FUNCTION public.count_verifications(p_events public.event[]) RETURNS void
    LANGUAGE sql;

CREATE FUNCTION public.count_verify_usage(p_made public.verification, p_micros bigint) RETURNS void
    LANGUAGE sql;

CREATE FUNCTION public.disable_failing(p_endpoint bigint, p_reason text, p_after double precision) RETURNS boolean
    LANGUAGE plpgsql;

CREATE FUNCTION public.discounted(p_account bigint, p_micros bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE;

CREATE FUNCTION public.end_all_of(p_account bigint) RETURNS integer
    LANGUAGE plpgsql;

CREATE FUNCTION public.end_at_once(p_activations bigint[]) RETURNS integer
    LANGUAGE plpgsql;

CREATE FUNCTION public.end_proofs_of_other_domains() RETURNS trigger
    LANGUAGE plpgsql;

CREATE FUNCTION public.end_verifications(p_verifications bigint[], p_state public.verification_state) RETURNS void
    LANGUAGE plpgsql;

CREATE FUNCTION public.endpoints_waited_for() RETURNS TABLE(endpoint_id bigint, next_at timestamp with time zone)
    LANGUAGE sql STABLE;

CREATE FUNCTION public.expire_due(p_limit integer) RETURNS integer
    LANGUAGE plpgsql;

CREATE FUNCTION public.expire_verifications(p_limit integer) RETURNS integer
    LANGUAGE plpgsql;

CREATE FUNCTION public.fail_waiting(p_endpoint bigint, p_most integer) RETURNS bigint
    LANGUAGE sql;

CREATE FUNCTION public.failures_of(p_account bigint, p_test boolean, p_e164 text) RETURNS TABLE(failed smallint, failed_at timestamp with time zone)
    LANGUAGE sql STABLE;

CREATE FUNCTION public.fall_back(p_sends bigint[]) RETURNS integer
    LANGUAGE sql;

CREATE FUNCTION public.fan_out(p_limit integer, OUT taken integer, OUT endpoints bigint[], OUT more boolean) RETURNS record
    LANGUAGE plpgsql;

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

COMMENT ON TABLE public.activation IS 'A lease. waiting → received → completed; waiting → cancelled or expired; received → completed at its deadline. revision counts its texts.';

CREATE FUNCTION public.finish(p_account bigint, p_test boolean, p_activation bigint, p_word public.activation_state, p_cancels_per_hour integer, OUT problem text, OUT facts jsonb, OUT lease public.activation, OUT texts jsonb) RETURNS record
    LANGUAGE plpgsql;

CREATE FUNCTION public.first_unseen(p_seen pg_snapshot, p_now pg_snapshot) RETURNS xid8
    LANGUAGE sql IMMUTABLE;

CREATE FUNCTION public.freeze_number(p_e164 text, p_reason text) RETURNS SETOF bigint
    LANGUAGE plpgsql;

CREATE TABLE public.number (
    number_id bigint NOT NULL,
    e164 text NOT NULL,
    shelf_id integer NOT NULL,
    stripe smallint NOT NULL,
    place integer NOT NULL,
    CONSTRAINT number_e164_check CHECK ((e164 ~ '^\+[1-9][0-9]{6,14}$'::text)),
    CONSTRAINT number_stripe_check CHECK (((stripe >= 0) AND (stripe <= 63)))
);

COMMENT ON TABLE public.number IS 'A number of the pool, at a place of its shelf''s stripe that only grows.';

CREATE FUNCTION public.fresh_in(p_service integer, p_shelf integer, p_stripe integer) RETURNS SETOF public.number
    LANGUAGE sql STABLE ROWS 1;

CREATE FUNCTION public.fresh_stripes(p_service integer, p_shelf integer) RETURNS SETOF integer
    LANGUAGE sql STABLE;

CREATE FUNCTION public.has_stock(p_service integer, p_shelves integer[]) RETURNS boolean
    LANGUAGE sql STABLE;

CREATE FUNCTION public.hold_for_verification(p_made public.verification, p_send smallint) RETURNS void
    LANGUAGE plpgsql;

CREATE FUNCTION public.hold_texts(p_sends bigint[]) RETURNS bigint[]
    LANGUAGE plpgsql;

CREATE FUNCTION public.incomplete_text(p_wait interval) RETURNS TABLE(carrier text, sender text, recipient text, total smallint, number smallint, alphabet text, payload bytea, key_id bigint, key bytea, began_at timestamp with time zone)
    LANGUAGE plpgsql;

CREATE FUNCTION public.judge_receipts(p_sends bigint[]) RETURNS void
    LANGUAGE plpgsql;

CREATE FUNCTION public.keep_balance() RETURNS trigger
    LANGUAGE plpgsql;

CREATE FUNCTION public.keep_event_days(p_keep integer) RETURNS integer
    LANGUAGE plpgsql
    SET lock_timeout TO '250';

CREATE FUNCTION public.keep_usage() RETURNS trigger
    LANGUAGE plpgsql;

CREATE FUNCTION public.kept_off_until(p_service integer, p_number public.number, p_account bigint) RETURNS timestamp with time zone
    LANGUAGE plpgsql;

CREATE FUNCTION public.labels_counted(p_account bigint, p_test boolean, p_day date, p_labels jsonb, p_is_new boolean) RETURNS TABLE(dimension text, value text)
    LANGUAGE plpgsql;

CREATE FUNCTION public.leases_on(p_recipient text) RETURNS bigint[]
    LANGUAGE sql STABLE;

CREATE FUNCTION public.let_serve(p_role name) RETURNS void
    LANGUAGE plpgsql;

CREATE FUNCTION public.locked_before(p_until timestamp with time zone, p_service integer, p_stripe integer) RETURNS boolean
    LANGUAGE plpgsql;

CREATE FUNCTION public.look_after_sends(p_claim_seconds double precision, p_route_seconds double precision, p_limit integer) RETURNS integer
    LANGUAGE plpgsql;

CREATE FUNCTION public.move_numbers(p_carrier text, p_e164 text[], p_countries text[], p_operators text[]) RETURNS SETOF text
    LANGUAGE plpgsql;

CREATE TABLE public.tail_position (
    consumer text NOT NULL,
    seen pg_snapshot NOT NULL,
    upto pg_snapshot,
    last_xact xid8 DEFAULT '0'::xid8 NOT NULL,
    last_event bigint DEFAULT 0 NOT NULL,
    most_event bigint NOT NULL,
    moved_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE public.tail_position IS 'How far the durable reader of the outbox has come, as a snapshot and not as an id.';

CREATE FUNCTION public.number_anew(p_place public.tail_position) RETURNS public.tail_position
    LANGUAGE plpgsql;

CREATE FUNCTION public.outcome_groups(p_by text[], p_test boolean, p_hour timestamp with time zone, p_day date, p_country text, p_service integer, p_operator text, p_carrier text, p_least integer, p_limit bigint, p_offset bigint) RETURNS TABLE(country text, service_id integer, operator text, carrier text, buckets smallint[], leases bigint[])
    LANGUAGE plpgsql STABLE;

CREATE FUNCTION public.pick_fresh(p_service integer, p_shelf integer, p_account bigint, INOUT has_put_aside boolean, OUT picked public.number) RETURNS record
    LANGUAGE plpgsql;

CREATE FUNCTION public.pick_rested(p_service integer, p_shelf integer, p_account bigint, p_test boolean) RETURNS public.number
    LANGUAGE plpgsql;

CREATE FUNCTION public.plan_deliveries(p_events public.event[]) RETURNS bigint[]
    LANGUAGE sql;

CREATE FUNCTION public.plan_test_texts(p_activation bigint, p_recipient text, p_service text) RETURNS void
    LANGUAGE sql;

CREATE FUNCTION public.price_of(p_service integer, p_country text, p_currency text) RETURNS bigint
    LANGUAGE sql STABLE;

CREATE FUNCTION public.purchase(p_account bigint, p_key bigint, p_test boolean, p_country text, p_service text, p_max_micros bigint, p_operator text, p_ttl_seconds integer, p_sender text, p_contains text, p_labels jsonb, p_dry_run boolean, p_fee_micros bigint, p_carriers text[], p_cancel_waits integer[], p_rests integer[], p_max_active integer, p_per_hour integer, p_floor numeric, p_retain_days integer, p_test_active integer, p_test_any integer, p_test_share numeric, p_test_per_day integer, OUT problem text, OUT facts jsonb, OUT activation_id bigint, OUT e164 text, OUT carrier text, OUT created_at timestamp with time zone, OUT expires_at timestamp with time zone, OUT cancel_after timestamp with time zone, OUT cost_micros bigint) RETURNS record
    LANGUAGE plpgsql;

CREATE FUNCTION public.put_back_sends(p_sends bigint[], p_leases integer[], p_seconds double precision[]) RETURNS void
    LANGUAGE sql;

CREATE FUNCTION public.receive(p_numbers bigint[], p_activations bigint[], p_carriers text[], p_senders text[], p_recipients text[], p_reasons text[], p_fingerprints bytea[], p_elders bytea[], p_erased bytea[], p_elders_erased bytea[], p_sessions text[], p_identities text[], p_doubtful text[], p_incomplete boolean[], p_sealed bytea[], p_keys bigint[], p_days integer[]) RETURNS TABLE(place bigint, outcome text, activation_id bigint)
    LANGUAGE plpgsql;

CREATE FUNCTION public.record_attempts(p_deliveries bigint[], p_leases integer[], p_succeeded boolean[], p_again_in double precision[], p_pauses double precision[], p_urls text[], p_ages_ms integer[], p_durations_ms integer[], p_statuses smallint[], p_reasons text[], p_addresses text[], p_answers bytea[], p_keys bigint[], p_disable_after double precision, OUT endpoint_id bigint, OUT gone boolean) RETURNS SETOF record
    LANGUAGE sql;

CREATE FUNCTION public.record_sends(p_sends bigint[], p_leases integer[], p_states public.send_state[], p_errors text[], p_names jsonb[]) RETURNS void
    LANGUAGE plpgsql;

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql;

CREATE FUNCTION public.remove_numbers(p_e164 text[]) RETURNS TABLE(the_number text, stays text)
    LANGUAGE plpgsql;

CREATE FUNCTION public.resend_verification(p_account bigint, p_test boolean, p_verification bigint, p_pauses integer[], p_in_ten_minutes integer, p_in_a_day integer, OUT problem text, OUT retry_at timestamp with time zone, OUT rule text, OUT recent integer, OUT threshold integer, OUT available_micros bigint, OUT one public.verification) RETURNS record
    LANGUAGE plpgsql;

CREATE FUNCTION public.sends_to(p_account bigint, p_test boolean, p_e164 text) RETURNS timestamp with time zone[]
    LANGUAGE sql STABLE;

CREATE FUNCTION public.service_enabled(p_service integer, p_country text) RETURNS boolean
    LANGUAGE sql STABLE;

CREATE FUNCTION public.settle(p_activations bigint[], p_without_text public.activation_state) RETURNS void
    LANGUAGE sql;

CREATE FUNCTION public.settle_texts(p_verifications bigint[]) RETURNS void
    LANGUAGE plpgsql;

CREATE FUNCTION public.settle_verification(p_one public.verification, p_send smallint, p_capture boolean) RETURNS void
    LANGUAGE plpgsql;

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

COMMENT ON TABLE public.slot IS 'A number that serves or has served a service, and when it may again: infinity while leased.';

CREATE FUNCTION public.slots_of(p_numbers bigint[]) RETURNS SETOF public.slot
    LANGUAGE sql STABLE;

CREATE FUNCTION public.spend_cap_broken(p_account public.account, p_key bigint, p_cost bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE;

CREATE FUNCTION public.start_verification(p_verification bigint, p_account bigint, p_key bigint, p_test boolean, p_profile text, p_e164 text, p_country text, p_prefix text, p_address cidr, p_blocked boolean, p_mac bytea, p_sealed bytea, p_locale text, p_template text, p_digits smallint, p_bound boolean, p_checks smallint, p_sends smallint, p_charge text, p_cost bigint, p_currency text, p_metadata jsonb, p_decisions jsonb, p_ttl integer, p_resend integer, p_send boolean, p_carrier text, p_sender text, p_others jsonb, p_segments smallint) RETURNS public.verification
    LANGUAGE plpgsql;

CREATE FUNCTION public.stock_numbers(p_carrier text, p_test boolean, p_e164 text[], p_countries text[], p_operators text[]) RETURNS TABLE(known text, known_carrier text)
    LANGUAGE plpgsql;

CREATE FUNCTION public.take_early_receipts(p_sends bigint[]) RETURNS void
    LANGUAGE plpgsql;

CREATE FUNCTION public.take_fresh(p_service integer, p_shelf integer, p_stripe integer, p_account bigint, OUT picked public.number, OUT put_aside boolean) RETURNS record
    LANGUAGE plpgsql;

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

COMMENT ON TABLE public.assembly_part IS 'A part of it, acknowledged to its carrier once it stands here.';

CREATE FUNCTION public.take_parts(p_assembly bigint, p_parts public.assembly_part[]) RETURNS TABLE(number smallint, alphabet text, payload bytea, key_id bigint, key bytea, began_at timestamp with time zone)
    LANGUAGE plpgsql;

CREATE FUNCTION public.take_receipts(p_carriers text[], p_names jsonb[], p_states text[], p_errors text[]) RETURNS void
    LANGUAGE plpgsql;

CREATE FUNCTION public.take_slots(p_numbers bigint[]) RETURNS public.slot[]
    LANGUAGE plpgsql;

CREATE FUNCTION public.tell_of_verifications(p_verifications bigint[], p_what text) RETURNS void
    LANGUAGE sql;

CREATE FUNCTION public.test_capped_because(p_account bigint, p_service integer, p_country text, p_stock bigint, p_max_active integer, p_max_any integer, p_share numeric, p_per_day integer, OUT problem text, OUT facts jsonb) RETURNS record
    LANGUAGE plpgsql STABLE;

CREATE FUNCTION public.text_seconds_bucket(p_seconds double precision) RETURNS smallint
    LANGUAGE sql IMMUTABLE;

CREATE FUNCTION public.texts_of(p_activation bigint) RETURNS jsonb
    LANGUAGE sql STABLE;

CREATE FUNCTION public.too_many_cancels(p_account bigint, p_per_hour integer) RETURNS jsonb
    LANGUAGE sql STABLE;

CREATE FUNCTION public.traffic_of(p_account bigint, p_test boolean, p_profile text, p_country text, p_prefix text) RETURNS jsonb
    LANGUAGE sql STABLE;

CREATE FUNCTION public.unfreeze_number(p_e164 text) RETURNS SETOF bigint
    LANGUAGE plpgsql;

CREATE FUNCTION public.verification_facts(p_account bigint, p_key bigint, p_test boolean, p_profile text, p_e164 text, p_country text, p_prefix text, p_address cidr, p_micros bigint, p_address_seconds integer, OUT settings jsonb, OUT approved_text text, OUT verification_id bigint, OUT clock timestamp with time zone, OUT frozen_reason text, OUT currency text, OUT available_micros bigint, OUT cost_micros bigint, OUT cap jsonb, OUT is_simulated boolean, OUT sends timestamp with time zone[], OUT failed smallint[], OUT failed_at timestamp with time zone[], OUT starts_of_address timestamp with time zone[], OUT traffic jsonb) RETURNS record
    LANGUAGE plpgsql;

CREATE FUNCTION public.wants(p_types text[], p_type text) RETURNS boolean
    LANGUAGE sql IMMUTABLE;

CREATE FUNCTION public.whole_parts(p_assembly bigint, p_total integer, p_waited boolean) RETURNS SETOF public.assembly_part
    LANGUAGE plpgsql STABLE;

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

COMMENT ON TABLE public.api_key IS 'An API key of an account and mode, as the SHA-256 of its secret; a rotated one names the one before it.';

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

COMMENT ON TABLE public.assembly IS 'A long text whose parts are not all there.';

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

COMMENT ON TABLE public.audit_entry IS 'An act: who did what to what, written in the transaction in which it happened.';

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

COMMENT ON TABLE public.audit_head IS 'The end of the chain, signed with a key that the database does not have.';

CREATE TABLE public.audit_link (
    "position" bigint NOT NULL,
    entry_id bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT audit_link_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT audit_link_position_check CHECK (("position" > 0))
);

COMMENT ON TABLE public.audit_link IS 'The hash chain over the acts: each link covers its act and the link before.';

CREATE TABLE public.audit_pending (
    entry_id bigint NOT NULL
);

COMMENT ON TABLE public.audit_pending IS 'Acts without a link yet.';

CREATE TABLE public.balance (
    account_id bigint NOT NULL,
    currency text NOT NULL,
    available_micros bigint DEFAULT 0 NOT NULL,
    held_micros bigint DEFAULT 0 NOT NULL,
    CONSTRAINT balance_available CHECK ((available_micros >= 0)),
    CONSTRAINT balance_held CHECK ((held_micros >= 0))
)
WITH (fillfactor='50');

COMMENT ON TABLE public.balance IS 'What a customer can spend and what is held, kept by the trigger on transfer; the row to lock before spending.';

CREATE TABLE public.carrier_link (
    carrier text NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    detail text NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT carrier_link_state_check CHECK ((state = ANY (ARRAY['down'::text, 'connecting'::text, 'up'::text, 'standby'::text])))
);

COMMENT ON TABLE public.carrier_link IS 'How each carrier''s link stood when the process that runs it last looked.';

CREATE TABLE public.carrier_owner (
    carrier text NOT NULL,
    epoch bigint NOT NULL,
    owner text NOT NULL,
    seen_at timestamp with time zone,
    wanted_by text,
    wanted_at timestamp with time zone
);

COMMENT ON TABLE public.carrier_owner IS 'Who runs a carrier''s link (leader election); epoch is the fencing token and grows with each owner.';

CREATE TABLE public.catalog_version (
    version bigint NOT NULL,
    services bigint DEFAULT 1 NOT NULL
);

COMMENT ON TABLE public.catalog_version IS 'Counts changes of catalog, prices, switches and shelves, so that a process knows when its copy is old.';

CREATE TABLE public.component (
    name text NOT NULL,
    state public.component_state NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    turned_at timestamp with time zone DEFAULT now() NOT NULL,
    checked_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE public.component IS 'A part of the platform as the public status shows it, and since when it is so.';

CREATE TABLE public.component_day (
    name text NOT NULL,
    day date NOT NULL,
    up_seconds double precision DEFAULT 0 NOT NULL,
    down_seconds double precision DEFAULT 0 NOT NULL
);

COMMENT ON TABLE public.component_day IS 'For how long of a day a component was seen up and down.';

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

COMMENT ON TABLE public.deposit IS 'A payment through Stripe. pending → paid or expired.';

ALTER TABLE public.deposit ALTER COLUMN deposit_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.deposit_deposit_id_seq
    START WITH 1001
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.early_receipt (
    carrier text NOT NULL,
    name text NOT NULL,
    names text[] NOT NULL,
    state text NOT NULL,
    error text,
    at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE public.early_receipt IS 'Delivery receipts that came before the answer to their submit.';

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

COMMENT ON TABLE public.event_rest IS 'The partition of days that have none of their own.';

CREATE TABLE public.exhausted (
    service_id integer NOT NULL,
    shelf_id integer NOT NULL,
    places integer CONSTRAINT exhausted_numbers_not_null NOT NULL
);

COMMENT ON TABLE public.exhausted IS 'A shelf without a number that never served a service, true for this count of its numbers.';

CREATE TABLE public.finished_part (
    fingerprint bytea NOT NULL,
    assembly_id bigint NOT NULL,
    finished_at timestamp with time zone DEFAULT now() NOT NULL,
    erased boolean DEFAULT false NOT NULL
);

COMMENT ON TABLE public.finished_part IS 'Parts of texts that are finished, kept for as long as carriers repeat them.';

CREATE TABLE public.frozen_number (
    number_id bigint NOT NULL,
    reason text NOT NULL,
    frozen_at timestamp with time zone DEFAULT now() NOT NULL,
    retired boolean DEFAULT false NOT NULL
);

COMMENT ON TABLE public.frozen_number IS 'A number off the shelf: nobody leases it, and its texts are nobody''s.';

CREATE TABLE public.idempotent_answer (
    account_id bigint NOT NULL,
    mode public.key_mode NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    answer bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotent_answer_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255)))
);

COMMENT ON TABLE public.idempotent_answer IS 'The first answer to a request with an Idempotency-Key, written in the transaction of its effect; kept for 72 hours.';

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

COMMENT ON TABLE public.incident IS 'What went wrong, opened by a health check or by the operator.';

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

COMMENT ON TABLE public.incident_update IS 'What was said about it.';

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

COMMENT ON TABLE public.label_day IS 'How many values of each label an account has told apart on a day; beyond the bound they count as other.';

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

COMMENT ON TABLE public.message IS 'A text that came in, sealed under a text_key. Without an activation it is the operator''s alone, and reason says why.';

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

COMMENT ON TABLE public.outcome_day IS 'The same by day.';

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

COMMENT ON TABLE public.outcome_hour IS 'How leases ended, each counted once, by hour; bucket is how long the text took, -1 where none came.';

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
    verification_id bigint,
    send_number smallint,
    CONSTRAINT transfer_act_is_credit CHECK (((act_id IS NULL) OR ((kind = 'credit'::public.transfer_kind) AND (deposit_id IS NULL)))),
    CONSTRAINT transfer_amount_micros_check CHECK ((amount_micros > 0)),
    CONSTRAINT transfer_cause CHECK ((num_nonnulls(activation_id, verification_id) = ((kind <> 'credit'::public.transfer_kind))::integer)),
    CONSTRAINT transfer_deposit_is_credit CHECK (((deposit_id IS NULL) OR (kind = 'credit'::public.transfer_kind))),
    CONSTRAINT transfer_moves CHECK ((((kind = 'credit'::public.transfer_kind) AND (debit = 'funding'::public.book) AND (credit = 'available'::public.book)) OR ((kind = 'hold'::public.transfer_kind) AND (debit = 'available'::public.book) AND (credit = 'held'::public.book)) OR ((kind = 'capture'::public.transfer_kind) AND (debit = 'held'::public.book) AND (credit = 'revenue'::public.book)) OR ((kind = 'release'::public.transfer_kind) AND (debit = 'held'::public.book) AND (credit = 'available'::public.book)) OR ((kind = 'fee'::public.transfer_kind) AND (debit = 'held'::public.book) AND (credit = 'revenue'::public.book)))),
    CONSTRAINT transfer_of_a_text CHECK (((send_number IS NULL) OR (verification_id IS NOT NULL)))
);

COMMENT ON TABLE public.transfer IS 'Double entry, append-only: a row has both sides, so that none is unbalanced.';

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

COMMENT ON TABLE public.price_rule IS 'A price for a service, a country, both or neither; the most special one counts.';

CREATE TABLE public.price_tier (
    from_completed integer NOT NULL,
    percent_off numeric(5,2) NOT NULL,
    CONSTRAINT price_tier_from_completed_check CHECK ((from_completed > 0)),
    CONSTRAINT price_tier_percent_off_check CHECK (((percent_off > (0)::numeric) AND (percent_off <= (100)::numeric)))
);

COMMENT ON TABLE public.price_tier IS 'What a lease costs less, by the leases of the month that got a text.';

CREATE TABLE public.repeat_key (
    day date NOT NULL,
    key bytea,
    CONSTRAINT repeat_key_key_check CHECK ((length(key) = 32))
);

COMMENT ON TABLE public.repeat_key IS 'The keys of the fingerprints by which a carrier''s repetition is known, by day.';

CREATE TABLE public.schema_version (
    name text NOT NULL,
    digest text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE public.schema_version IS 'The scripts that were applied, and what they said.';

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

COMMENT ON TABLE public.service IS 'Who sends codes: slug, name, domain, senders and aliases.';

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

COMMENT ON TABLE public.service_control IS 'A customer''s proof that a service is their own.';

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

COMMENT ON TABLE public.service_switch IS 'Which third-party services the operator has opened on real carriers.';

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

COMMENT ON TABLE public.shelf IS 'Numbers of one carrier, country, operator and mode, in 64 stripes.';

ALTER TABLE public.shelf ALTER COLUMN shelf_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.shelf_shelf_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.simulated_receipt (
    reference text NOT NULL,
    due_at timestamp with time zone NOT NULL,
    state text,
    told_at timestamp with time zone
);

COMMENT ON TABLE public.simulated_receipt IS 'The delivery receipt of a text that was sent into the simulated network, until it is told.';

CREATE TABLE public.simulated_text (
    simulated_text_id bigint NOT NULL,
    due_at timestamp with time zone NOT NULL,
    activation_id bigint NOT NULL,
    recipient text NOT NULL,
    sender text NOT NULL,
    body text NOT NULL
);

COMMENT ON TABLE public.simulated_text IS 'A text that the simulated network will send of itself to a lease of a magic service.';

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

COMMENT ON TABLE public.text_key IS 'A key for texts by day and days of retention; thrown away with them (crypto-shredding).';

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

COMMENT ON TABLE public.usage IS 'What was used by day, key, service, country and label, exact to the ledger: written by what moves the money.';

CREATE SEQUENCE public.verification_number
    START WITH 20000001
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.verification_part (
    carrier text NOT NULL,
    name text NOT NULL,
    send_id bigint NOT NULL,
    parts smallint NOT NULL,
    state text,
    at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE public.verification_part IS 'The carrier''s message id of each part that was submitted, by which its delivery receipt is matched.';

CREATE TABLE public.verification_send (
    send_id bigint NOT NULL,
    verification_id bigint NOT NULL,
    account_id bigint NOT NULL,
    test boolean NOT NULL,
    e164 text NOT NULL,
    number smallint NOT NULL,
    fallback_of bigint,
    carrier text NOT NULL,
    sender text NOT NULL,
    others jsonb DEFAULT '[]'::jsonb NOT NULL,
    segments smallint NOT NULL,
    state public.send_state DEFAULT 'queued'::public.send_state NOT NULL,
    error text,
    lease integer DEFAULT 0 NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT now() NOT NULL,
    deadline timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    submitted_at timestamp with time zone,
    sent_at timestamp with time zone,
    ended_at timestamp with time zone,
    CONSTRAINT verification_send_ends CHECK (((ended_at IS NOT NULL) = (state = ANY (ARRAY['delivered'::public.send_state, 'undelivered'::public.send_state, 'refused'::public.send_state, 'dropped'::public.send_state]))))
)
WITH (fillfactor='70');

COMMENT ON TABLE public.verification_send IS 'The durable queue of MT texts: a row for each text and route, claimed with a lease.';

ALTER TABLE public.verification_send ALTER COLUMN send_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.verification_send_send_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.verify_outcome (
    account_id bigint NOT NULL,
    test boolean NOT NULL,
    day date NOT NULL,
    country text NOT NULL,
    prefix text NOT NULL,
    profile text NOT NULL,
    template text NOT NULL,
    route text NOT NULL,
    sender text NOT NULL,
    what text NOT NULL,
    bucket smallint NOT NULL,
    count integer NOT NULL,
    micros bigint NOT NULL
)
WITH (fillfactor='80');

COMMENT ON TABLE public.verify_outcome IS 'What became of verifications by day, and how soon: counted by the durable reader of the outbox.';

CREATE TABLE public.verify_profile (
    profile_id bigint NOT NULL,
    account_id bigint NOT NULL,
    test boolean NOT NULL,
    slug text NOT NULL,
    settings jsonb NOT NULL,
    approved_text text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT verify_profile_slug_check CHECK ((slug ~ '^[a-z0-9][a-z0-9_-]{0,39}$'::text))
);

COMMENT ON TABLE public.verify_profile IS 'An app''s settings for the codes that it sends, by slug.';

ALTER TABLE public.verify_profile ALTER COLUMN profile_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.verify_profile_profile_id_seq
    START WITH 1001
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.verify_traffic (
    account_id bigint NOT NULL,
    test boolean NOT NULL,
    dimension text NOT NULL,
    value text NOT NULL,
    span text NOT NULL,
    began timestamp with time zone NOT NULL,
    starts integer DEFAULT 0 NOT NULL,
    blocked integer DEFAULT 0 NOT NULL,
    decided integer DEFAULT 0 NOT NULL,
    approved integer DEFAULT 0 NOT NULL,
    micros bigint DEFAULT 0 NOT NULL,
    busiest integer DEFAULT 0 NOT NULL,
    CONSTRAINT verify_traffic_dimension_check CHECK ((dimension = ANY (ARRAY['account'::text, 'profile'::text, 'country'::text, 'prefix'::text]))),
    CONSTRAINT verify_traffic_span_check CHECK ((span = ANY (ARRAY['hour'::text, 'day'::text])))
)
WITH (fillfactor='70');

COMMENT ON TABLE public.verify_traffic IS 'Starts, ends and money by hour and day, of accounts, profiles, countries and prefixes: what the guard judges by.';

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

COMMENT ON TABLE public.webhook_attempt IS 'One try of a delivery: what was answered, how long it took.';

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

COMMENT ON TABLE public.webhook_delivery IS 'An event on its way to an endpoint. pending → delivered or failed; lease is the fencing token of who tries it.';

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

COMMENT ON TABLE public.webhook_endpoint IS 'A customer''s URL and what it wants to hear; disabled by its owner, the operator, or by failing.';

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

COMMENT ON TABLE public.webhook_secret IS 'What signs deliveries (HMAC-SHA256); several while one takes the place of another.';

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

ALTER TABLE ONLY public.early_receipt
    ADD CONSTRAINT early_receipt_pkey PRIMARY KEY (carrier, name);

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

ALTER TABLE ONLY public.simulated_receipt
    ADD CONSTRAINT simulated_receipt_pkey PRIMARY KEY (reference);

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

ALTER TABLE ONLY public.verification_part
    ADD CONSTRAINT verification_part_pkey PRIMARY KEY (carrier, name);

ALTER TABLE ONLY public.verification
    ADD CONSTRAINT verification_pkey PRIMARY KEY (verification_id);

ALTER TABLE ONLY public.verification_send
    ADD CONSTRAINT verification_send_pkey PRIMARY KEY (send_id);

ALTER TABLE ONLY public.verify_outcome
    ADD CONSTRAINT verify_outcome_pkey PRIMARY KEY (account_id, test, day, country, prefix, profile, template, route, sender, what, bucket);

ALTER TABLE ONLY public.verify_profile
    ADD CONSTRAINT verify_profile_account_id_test_slug_key UNIQUE (account_id, test, slug);

ALTER TABLE ONLY public.verify_profile
    ADD CONSTRAINT verify_profile_pkey PRIMARY KEY (profile_id);

ALTER TABLE ONLY public.verify_traffic
    ADD CONSTRAINT verify_traffic_pkey PRIMARY KEY (account_id, test, dimension, value, span, began);

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

CREATE INDEX early_receipt_age ON public.early_receipt USING btree (at);

CREATE INDEX early_receipt_names ON public.early_receipt USING gin (names);

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

CREATE INDEX simulated_receipt_age ON public.simulated_receipt USING btree (due_at);

CREATE INDEX simulated_receipt_due ON public.simulated_receipt USING btree (due_at) WHERE (told_at IS NULL);

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

CREATE UNIQUE INDEX transfer_verification_once ON public.transfer USING btree (verification_id, COALESCE((send_number)::integer, 0), (
CASE kind
    WHEN 'hold'::public.transfer_kind THEN 1
    ELSE 2
END)) WHERE (verification_id IS NOT NULL);

CREATE INDEX usage_labels ON public.usage USING btree (day) WHERE ((dimension ~~ 'label.%'::text) AND (value <> 'other'::text));

CREATE INDEX usage_tested ON public.usage USING btree (day) WHERE test;

CREATE INDEX verification_address ON public.verification USING btree (account_id, test, address, created_at) WHERE (address IS NOT NULL);

CREATE INDEX verification_due ON public.verification USING btree (expires_at) WHERE (ended_at IS NULL);

CREATE INDEX verification_failed ON public.verification USING btree (account_id, test, e164, failed_at) WHERE (failed > 0);

CREATE INDEX verification_guarded ON public.verification USING btree (verification_id) WHERE (decisions @? '$[*]?(@."verdict" == "blocked" || @."verdict" == "shadow")'::jsonpath);

CREATE INDEX verification_list ON public.verification USING btree (account_id, test, verification_id);

CREATE INDEX verification_part_age ON public.verification_part USING btree (at);

CREATE INDEX verification_part_send ON public.verification_part USING btree (send_id);

CREATE INDEX verification_pending ON public.verification USING btree (account_id, test, e164, verification_id) WHERE (ended_at IS NULL);

CREATE INDEX verification_send_due ON public.verification_send USING btree (carrier, next_at, send_id) WHERE (state = 'queued'::public.send_state);

CREATE UNIQUE INDEX verification_send_fallback ON public.verification_send USING btree (fallback_of) WHERE (fallback_of IS NOT NULL);

CREATE INDEX verification_send_number ON public.verification_send USING btree (account_id, test, e164, created_at) WHERE (fallback_of IS NULL);

CREATE INDEX verification_send_of ON public.verification_send USING btree (verification_id, send_id);

CREATE INDEX verification_send_open ON public.verification_send USING btree (submitted_at) WHERE (state = ANY (ARRAY['submitting'::public.send_state, 'sent'::public.send_state, 'unknown'::public.send_state]));

CREATE INDEX verification_tested ON public.verification USING btree (ended_at) WHERE (test AND (ended_at IS NOT NULL));

CREATE INDEX verify_outcome_age ON public.verify_outcome USING btree (day);

CREATE INDEX verify_traffic_age ON public.verify_traffic USING btree (span, began);

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

ALTER TABLE ONLY public.verify_profile
    ADD CONSTRAINT verify_profile_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id);

ALTER TABLE ONLY public.webhook_endpoint
    ADD CONSTRAINT webhook_endpoint_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id);

ALTER TABLE ONLY public.webhook_secret
    ADD CONSTRAINT webhook_secret_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.webhook_endpoint(endpoint_id);
