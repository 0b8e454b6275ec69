-- The life of a lease, one function for each thing that can happen to it. Each runs in the caller's transaction, and
-- answers with a problem instead of raising, having then changed nothing. Locks are taken in one order: activations by
-- id, then slots, then balances by account; a buyer holds its balance and waits for no lease.

CREATE OR REPLACE FUNCTION price_of(p_service integer, p_country text, p_currency text) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT price_micros FROM price_rule
     WHERE (service_id = p_service OR service_id IS NULL) AND (country = p_country OR country IS NULL)
       AND currency = p_currency
     ORDER BY service_id NULLS LAST, country NULLS LAST LIMIT 1
$$;

CREATE OR REPLACE FUNCTION service_enabled(p_service integer, p_country text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT enabled FROM service_switch
                      WHERE service_id = p_service AND (country = p_country OR country IS NULL)
                      ORDER BY country NULLS LAST LIMIT 1), false)
$$;

-- Why an account may lease no more numbers on real carriers at the moment: too many active, too many in an hour, too few
-- that got a text. NULL: it may. Lives of leases end within the hour, so that two hours of them are all to look at. Leases
-- for services that are the buyer's own count only where another such is asked for (p_proved).
DROP FUNCTION IF EXISTS capped_because(account, integer, integer, numeric);
CREATE OR REPLACE FUNCTION capped_because(
    p_account account, p_max_active integer, p_per_hour integer, p_floor numeric, p_proved boolean,
    OUT problem text, OUT facts jsonb
) LANGUAGE plpgsql STABLE AS $$
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

-- Why an account may lease no more numbers of the simulated network with its test keys: too many active, too many of ``any``
-- or of one country at a time (its shelves have ``p_stock`` numbers), too many in a day (UTC). NULL: it may.
CREATE OR REPLACE FUNCTION test_capped_because(
    p_account bigint, p_service integer, p_country text, p_stock bigint, p_max_active integer, p_max_any integer,
    p_share numeric, p_per_day integer, OUT problem text, OUT facts jsonb
) LANGUAGE plpgsql STABLE AS $$
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

-- Which cap on spending a cost would break: the account's, the key's, or one of a key that it comes from, by creation or by
-- rotation; of the day or the month (UTC). What is spent with a key counts for all that it comes from. NULL: none.
CREATE OR REPLACE FUNCTION spend_cap_broken(p_account account, p_key bigint, p_cost bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
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

-- What a volume of verifications in the calendar month makes cheaper; fractions of a micro are the customer's.
CREATE OR REPLACE FUNCTION discounted(p_account bigint, p_micros bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
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

-- Several orders of one transaction hold many stripes (``pick_fresh``), and two such that wait for each other's would
-- deadlock whatever order they are in. So they come one after the other, each service of a country for itself, and take
-- their turns in one order. An order on its own waits with none that others want, and needs no turn. Gives
-- back ``p_countries``, so that the orders can only be read once it is their turn.
CREATE OR REPLACE FUNCTION await_turn(p_countries text[], p_services text[]) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(p_countries) > 1 THEN
        PERFORM pg_advisory_xact_lock(-1 - turn.service_id, turn.place)
           FROM (SELECT DISTINCT service_id, hashtext(country) AS place
                   FROM unnest(p_countries, p_services) AS item (country, slug) JOIN service USING (slug)
                  ORDER BY service_id, place) AS turn;
    END IF;
    RETURN p_countries;
END $$;

CREATE OR REPLACE FUNCTION purchase(
    p_account bigint, p_key bigint, p_test boolean, p_country text, p_service text, p_max_micros bigint, p_operator text,
    p_ttl_seconds integer, p_sender text, p_contains text, p_labels jsonb, p_dry_run boolean, p_fee_micros bigint,
    p_carriers text[], p_cancel_waits integer[], p_rests integer[],
    p_max_active integer, p_per_hour integer, p_floor numeric, p_retain_days integer,
    p_test_active integer, p_test_any integer, p_test_share numeric, p_test_per_day integer,
    OUT problem text, OUT facts jsonb, OUT activation_id bigint, OUT e164 text, OUT carrier text,
    OUT created_at timestamptz, OUT expires_at timestamptz, OUT cancel_after timestamptz, OUT cost_micros bigint
) LANGUAGE plpgsql AS $$
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
          FROM test_capped_because(p_account, the_service.service_id, p_country, stock, p_test_active, p_test_any,
                                   p_test_share, p_test_per_day) AS capped;
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

-- The texts of a lease, oldest first, with what it takes to open them. What is neither sealed nor in the clear is erased.
CREATE OR REPLACE FUNCTION texts_of(p_activation bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_agg(jsonb_build_object(
               'revision', revision, 'code', code, 'full_text', body, 'sender', sender, 'incomplete', incomplete,
               'sealed', encode(sealed, 'hex'), 'key', encode(key, 'hex'),
               'received_at', to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) ORDER BY revision)
      FROM message LEFT JOIN text_key USING (key_id) WHERE activation_id = p_activation
$$;

-- Ends leases whose rows the caller has locked: with a text they are completed, without one they end as told and the
-- hold is released, less the fee. The numbers rest; nobody else gets one while a text for this lessee could come.
CREATE OR REPLACE FUNCTION settle(p_activations bigint[], p_without_text activation_state) RETURNS void
LANGUAGE sql AS $$
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

-- Ends leases before their time because the operator says so: those without a text are cancelled and cost nothing, not
-- even the fee. How many were live.
CREATE OR REPLACE FUNCTION end_at_once(p_activations bigint[]) RETURNS integer LANGUAGE plpgsql AS $$
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

-- The same for all that an account has, which this transaction has frozen. The leases come first, in the order of all
-- locks; under the lock of the balance, for which purchases wait, those are left that came meanwhile. Only
-- such a one can be held by somebody who waits for the balance: then one of both is told to begin again.
CREATE OR REPLACE FUNCTION end_all_of(p_account bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    ended integer;
BEGIN
    ended := end_at_once(ARRAY(SELECT activation_id FROM activation WHERE account_id = p_account AND ended_at IS NULL));
    PERFORM FROM balance WHERE account_id = p_account FOR NO KEY UPDATE;
    RETURN ended
         + end_at_once(ARRAY(SELECT activation_id FROM activation WHERE account_id = p_account AND ended_at IS NULL));
END $$;

CREATE OR REPLACE FUNCTION finish(
    p_account bigint, p_test boolean, p_activation bigint, p_word activation_state, p_cancels_per_hour integer,
    OUT problem text, OUT facts jsonb, OUT lease activation, OUT texts jsonb
) LANGUAGE plpgsql AS $$
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

-- Why an account may cancel no more leases on real carriers within this hour. NULL: it may.
CREATE OR REPLACE FUNCTION too_many_cancels(p_account bigint, p_per_hour integer) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('limit', most, 'retry_at', (array_agg(ended_at ORDER BY ended_at DESC))[greatest(most, 1)] + interval '1 hour')
      FROM (SELECT coalesce((SELECT cancels_per_hour FROM account WHERE account_id = p_account), p_per_hour) AS most) AS cap,
           activation
     WHERE account_id = p_account AND capped AND NOT proved AND created_at > now() - interval '2 hours'
       AND state = 'cancelled' AND ended_at > now() - interval '1 hour'
     GROUP BY most HAVING count(*) >= most
$$;

-- Ends the leases whose time is over; how many. Several sweepers pass each other by.
CREATE OR REPLACE FUNCTION expire_due(p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
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

-- Stores a group of texts that were matched outside. A lease that has ended meanwhile does not get its text; a carrier's
-- repetition of what came before has no effect, but is counted with that (docs/decisions/0007). Answers what became of
-- each, in the order given. Texts come sealed, with the days for which they are to be kept.
CREATE OR REPLACE FUNCTION receive(
    p_numbers bigint[], p_activations bigint[], p_carriers text[], p_senders text[], p_recipients text[],
    p_reasons text[], p_fingerprints bytea[], p_elders bytea[], p_erased bytea[], p_elders_erased bytea[],
    p_sessions text[], p_identities text[], p_doubtful text[], p_incomplete boolean[],
    p_sealed bytea[], p_keys bigint[], p_days integer[]
) RETURNS TABLE (place bigint, outcome text, activation_id bigint) LANGUAGE plpgsql AS $$
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

-- The leases that are live on a number.
CREATE OR REPLACE FUNCTION leases_on(p_recipient text) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(activation_id ORDER BY activation_id), '{}')
      FROM number JOIN activation USING (number_id) WHERE number.e164 = p_recipient AND ended_at IS NULL
$$;

-- Ends the adding to a long text that is not whole.
CREATE OR REPLACE FUNCTION close_assembly(p_assembly bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO finished_part (fingerprint, assembly_id)
    SELECT fingerprint, assembly_id FROM assembly_part WHERE assembly_id = p_assembly AND NOT echo AND fingerprint IS NOT NULL;
    UPDATE assembly SET closed = true WHERE assembly_id = p_assembly
$$;

-- Which parts make a long text whole. None: some are missing, or (``waited`` is false) one that is there may be another
-- text's, and the right one may still come. New parts go before echoes; parts that echo may be new too, where a sender
-- uses a reference twice and two texts have parts in common. Echoes of different texts make none together.
CREATE OR REPLACE FUNCTION whole_parts(p_assembly bigint, p_total integer, p_waited boolean) RETURNS SETOF assembly_part
LANGUAGE plpgsql STABLE AS $$
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

-- Takes these parts out of a long text, for good: in order, with what it takes to open them.
CREATE OR REPLACE FUNCTION take_parts(p_assembly bigint, p_parts assembly_part[])
RETURNS TABLE (number smallint, alphabet text, payload bytea, key_id bigint, key bytea, began_at timestamptz)
LANGUAGE plpgsql AS $$
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

-- Stores one part of a long text and, once all are there, answers them in order and forgets them. The row of the
-- assembly is the lock under which parts that come at once over several binds see each other. Parts between which a lease
-- on the number began or ended, or half an hour went by, are of different texts.
CREATE OR REPLACE FUNCTION assemble(
    p_carrier text, p_sender text, p_recipient text, p_kind text, p_reference integer, p_total smallint,
    p_number smallint, p_alphabet text, p_payload bytea, p_key bigint, p_telling boolean, p_known bytea[]
) RETURNS TABLE (number smallint, alphabet text, payload bytea, key_id bigint, key bytea, began_at timestamptz)
LANGUAGE plpgsql AS $$
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

-- A long text that is not whole and is to be given as it is: nothing came for so long, a lease on its number is about to
-- end, or nothing is added to it any more. Also one that is whole, once the part in doubt was waited for. The caller has
-- it to itself until the end of its transaction; what is given stays, so that a part that comes later completes it.
CREATE OR REPLACE FUNCTION incomplete_text(p_wait interval)
RETURNS TABLE (carrier text, sender text, recipient text, total smallint, number smallint, alphabet text, payload bytea,
               key_id bigint, key bytea, began_at timestamptz)
LANGUAGE plpgsql AS $$
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

-- What was used is the sum of the leases, counted on the day of their purchase: kept here, in the statement that writes
-- the lease, so that it agrees with the books. Rows are written in one order, so that two who write wait, never for ever.
CREATE OR REPLACE FUNCTION keep_usage() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- Under what the labels of a lease are counted. Of each name 1,000 values are told apart in a day, and of an account 50 names;
-- a new value beyond is ``other``, a new name ``label.other``. The caller holds the account's balance, as all do who count.
CREATE OR REPLACE FUNCTION labels_counted(p_account bigint, p_test boolean, p_day date, p_labels jsonb, p_is_new boolean)
RETURNS TABLE (dimension text, value text) LANGUAGE plpgsql AS $$
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

CREATE OR REPLACE FUNCTION count_usage(p_used used[]) RETURNS void LANGUAGE sql AS $$
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

CREATE OR REPLACE TRIGGER lease_is_counted AFTER INSERT ON activation
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION keep_usage();
CREATE OR REPLACE TRIGGER lease_counts AFTER UPDATE ON activation
    REFERENCING OLD TABLE AS before NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION keep_usage();

-- The texts that the simulated network will send of itself to a lease of a magic service, with fresh codes.
CREATE OR REPLACE FUNCTION plan_test_texts(p_activation bigint, p_recipient text, p_service text) RETURNS void
LANGUAGE sql AS $$
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
