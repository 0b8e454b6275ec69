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

CREATE OR REPLACE FUNCTION purchase(
    p_account bigint, p_test boolean, p_country text, p_service text, p_max_micros bigint, p_operator text,
    p_ttl_seconds integer, p_sender text, p_contains text, p_labels jsonb, p_dry_run boolean, p_fee_micros bigint,
    p_carriers text[], p_cancel_waits integer[], p_rests integer[],
    OUT problem text, OUT facts jsonb, OUT activation_id bigint, OUT e164 text, OUT carrier text,
    OUT created_at timestamptz, OUT expires_at timestamptz, OUT cancel_after timestamptz, OUT cost_micros bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    the_service integer;
    money balance;
    shelves integer[];
    closed integer;
    the_shelf integer;
    picked number;
    policy integer;
    the_currency text;
BEGIN
    SELECT service_id INTO the_service FROM service WHERE slug = p_service;
    IF the_service IS NULL THEN
        problem := 'unknown_service';
        RETURN;
    END IF;

    SELECT currency INTO the_currency FROM balance WHERE account_id = p_account;
    cost_micros := price_of(the_service, p_country, the_currency);
    IF cost_micros IS NULL THEN
        problem := 'no_numbers_available';
        RETURN;
    END IF;
    IF cost_micros > p_max_micros THEN
        problem := 'price_above_max';
        facts := jsonb_build_object('min_price_micros', cost_micros);
        RETURN;
    END IF;

    SELECT array_agg(shelf_id ORDER BY random()) FILTER (WHERE carrier = 'simulated' OR enabled),
           count(*) FILTER (WHERE carrier <> 'simulated' AND NOT enabled)
      INTO shelves, closed
      FROM shelf, LATERAL (SELECT service_enabled(the_service, p_country) AS enabled) AS switch
     WHERE country = p_country AND test = p_test AND carrier = ANY (p_carriers) AND numbers > 0
       AND (p_operator IS NULL OR operator = p_operator);
    IF shelves IS NULL THEN
        problem := CASE WHEN closed > 0 THEN 'service_not_enabled' ELSE 'no_numbers_available' END;
        RETURN;
    END IF;

    IF p_test THEN
        cost_micros := 0;  -- nothing is charged to a test key
    ELSIF cost_micros > 0 THEN
        SELECT * INTO money FROM balance WHERE account_id = p_account FOR NO KEY UPDATE;
        IF money.available_micros < cost_micros THEN
            problem := 'insufficient_balance';
            facts := jsonb_build_object('balance_micros', money.available_micros, 'cost_micros', cost_micros);
            RETURN;
        END IF;
    END IF;

    IF p_dry_run THEN
        IF NOT has_stock(the_service, shelves) THEN
            problem := 'no_numbers_available';
        END IF;
        RETURN;
    END IF;

    FOREACH the_shelf IN ARRAY shelves LOOP
        picked := pick_fresh(the_service, the_shelf, p_account);
        EXIT WHEN picked.number_id IS NOT NULL;
    END LOOP;
    IF picked.number_id IS NULL THEN
        FOREACH the_shelf IN ARRAY shelves LOOP
            picked := pick_rested(the_service, the_shelf, p_account, p_test);
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
    INSERT INTO activation (account_id, test, number_id, e164, country, service_id, carrier, cost_micros, fee_micros,
                            currency, expires_at, cancel_after, rest_seconds, sender_filter, contains_filter, labels)
         VALUES (p_account, p_test, picked.number_id, picked.e164, p_country, the_service, carrier, cost_micros,
                 least(p_fee_micros, cost_micros), the_currency,
                 date_trunc('second', now()) + p_ttl_seconds * interval '1 second',
                 now() + p_cancel_waits[policy] * interval '1 second', p_rests[policy], p_sender, p_contains, p_labels)
      RETURNING activation.activation_id, activation.created_at, activation.expires_at, activation.cancel_after
           INTO activation_id, created_at, expires_at, cancel_after;
    IF cost_micros > 0 THEN
        INSERT INTO transfer (account_id, activation_id, kind, debit, credit, amount_micros, currency)
             VALUES (p_account, activation_id, 'hold', 'available', 'held', cost_micros, the_currency);
    END IF;
    INSERT INTO event (account_id, test, activation_id, type) VALUES (p_account, p_test, activation_id, 'activation.created');
END $$;

-- The texts of a lease, oldest first, as the API shows them.
CREATE OR REPLACE FUNCTION texts_of(p_activation bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_agg(jsonb_build_object(
               'revision', revision, 'code', code, 'full_text', body, 'sender', sender,
               'received_at', to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) ORDER BY revision)
      FROM message WHERE activation_id = p_activation
$$;

-- Ends leases whose rows the caller has locked: with a text they are completed, without one they end as told and the
-- hold is released, less the fee. The numbers rest; nobody else gets one while a text for this lessee could come.
CREATE OR REPLACE FUNCTION settle(p_activations bigint[], p_without_text activation_state) RETURNS void
LANGUAGE sql AS $$
    WITH ended AS (
        UPDATE activation
           SET state = CASE WHEN revision > 0 THEN 'completed' ELSE p_without_text END,
               ended_at = now(),
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

CREATE OR REPLACE FUNCTION finish(
    p_account bigint, p_test boolean, p_activation bigint, p_word activation_state,
    OUT problem text, OUT lease activation, OUT texts jsonb
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
        PERFORM settle(ARRAY[p_activation], p_word);
        SELECT * INTO lease FROM activation WHERE activation_id = p_activation;
    END IF;
    texts := texts_of(p_activation);
END $$;

-- Ends the leases whose time is over; how many. Several sweepers pass each other by.
CREATE OR REPLACE FUNCTION expire_due(p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    due bigint[];
BEGIN
    SELECT array_agg(activation_id) INTO due
      FROM (SELECT activation_id FROM activation WHERE ended_at IS NULL AND expires_at <= now()
             ORDER BY expires_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED) AS late;
    IF due IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM FROM balance WHERE account_id IN (SELECT account_id FROM activation WHERE activation_id = ANY (due))
      ORDER BY account_id FOR NO KEY UPDATE;
    PERFORM settle(due, 'expired');
    RETURN cardinality(due);
END $$;

-- Stores a group of texts that were matched outside. A lease that has ended meanwhile does not get its text; a text
-- that its lease already has is a repeat and has no effect. Answers what became of each, in the order given.
CREATE OR REPLACE FUNCTION receive(
    p_numbers bigint[], p_activations bigint[], p_carriers text[], p_senders text[], p_recipients text[],
    p_bodies text[], p_codes text[], p_reasons text[], p_fingerprints bytea[]
) RETURNS TABLE (place bigint, outcome text, activation_id bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM activation WHERE activation_id = ANY (p_activations) ORDER BY activation_id FOR NO KEY UPDATE;
    PERFORM FROM balance WHERE account_id IN (SELECT account_id FROM activation
                                               WHERE activation_id = ANY (p_activations) AND revision = 0)
      ORDER BY account_id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH incoming AS (
        SELECT text.*, live.activation_id AS owner, live.revision AS revision_before,
               CASE WHEN live.activation_id IS NULL AND text.meant_for IS NOT NULL
                    THEN 'the lease had ended' ELSE text.reason END AS why
          FROM unnest(p_numbers, p_activations, p_carriers, p_senders, p_recipients, p_bodies, p_codes, p_reasons,
                      p_fingerprints) WITH ORDINALITY
               AS text (number_id, meant_for, carrier, sender, recipient, body, code, reason, fingerprint, place)
          LEFT JOIN activation AS live ON live.activation_id = text.meant_for AND live.ended_at IS NULL
    ), news AS (
        SELECT DISTINCT ON (fingerprint, owner) incoming.* FROM incoming
         WHERE NOT EXISTS (SELECT FROM message AS old WHERE old.fingerprint = incoming.fingerprint
                              AND old.activation_id IS NOT DISTINCT FROM incoming.owner)
         ORDER BY fingerprint, owner, place
    ), stored AS (
        INSERT INTO message (number_id, activation_id, revision, carrier, sender, recipient, body, code, reason, fingerprint)
        SELECT number_id, owner,
               CASE WHEN owner IS NOT NULL
                    THEN revision_before + row_number() OVER (PARTITION BY owner ORDER BY place) END,
               carrier, sender, recipient, body, code, why, fingerprint
          FROM news ORDER BY place
        ON CONFLICT (fingerprint, activation_id) DO NOTHING
        RETURNING message.activation_id, message.revision, message.fingerprint
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
    SELECT incoming.place,
           CASE WHEN news.place IS NULL OR stored.fingerprint IS NULL THEN 'repeated'
                WHEN incoming.owner IS NOT NULL THEN 'delivered'
                WHEN incoming.meant_for IS NOT NULL THEN 'late'
                ELSE 'unmatched' END,
           incoming.owner
      FROM incoming
      LEFT JOIN news ON news.place = incoming.place
      LEFT JOIN stored ON stored.fingerprint = incoming.fingerprint
                      AND stored.activation_id IS NOT DISTINCT FROM incoming.owner
     ORDER BY incoming.place;
END $$;

-- Stores one part of a long text and, once all are there, answers them in order and forgets them. The row of the
-- assembly is the lock under which parts that come at once over several binds see each other.
CREATE OR REPLACE FUNCTION assemble(
    p_carrier text, p_sender text, p_recipient text, p_reference integer, p_total smallint, p_number smallint,
    p_alphabet text, p_payload bytea
) RETURNS TABLE (alphabet text, payload bytea) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    whole bigint;
    had bytea;
BEGIN
    INSERT INTO assembly (carrier, sender, recipient, reference, total)
         VALUES (p_carrier, p_sender, p_recipient, p_reference, p_total)
    ON CONFLICT (carrier, sender, recipient, reference, total) DO UPDATE SET touched_at = now()
      RETURNING assembly_id INTO whole;
    DELETE FROM assembly_part WHERE assembly_id = whole AND stored_at < now() - interval '1 hour';  -- of another text
    SELECT part.payload INTO had FROM assembly_part AS part WHERE assembly_id = whole AND number = p_number;
    IF had IS DISTINCT FROM p_payload AND had IS NOT NULL THEN
        -- references wrap: another text under the same one, whose elder never became complete
        DELETE FROM assembly_part WHERE assembly_id = whole;
    END IF;
    INSERT INTO assembly_part (assembly_id, number, alphabet, payload)
         VALUES (whole, p_number, p_alphabet, p_payload) ON CONFLICT DO NOTHING;
    IF (SELECT count(*) FROM assembly_part WHERE assembly_id = whole) < p_total THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT part.alphabet, part.payload FROM assembly_part AS part WHERE assembly_id = whole ORDER BY number;
    DELETE FROM assembly WHERE assembly_id = whole;
END $$;
