-- The life of a lease, one function for each thing that can happen to it. Each runs in the caller's transaction, and
-- answers with a problem instead of raising, having then changed nothing. Locks are taken in one order: activations by
-- id, then slots, then balances by account; a buyer holds its balance and waits for no lease.

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
