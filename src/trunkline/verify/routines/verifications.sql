-- The life of a verification, one function for each thing that can happen to it. Each runs in the caller's transaction,
-- and answers with a problem instead of raising. Locks are taken in one order: verifications by id, their number, then
-- balances by account.

-- What a start is judged by, read under the lock of the account's balance: starts of an account come one after the other,
-- so that no two of them spend the same rest of a budget. ``p_micros``: the price before any discount.
CREATE OR REPLACE FUNCTION verification_facts(
    p_account bigint, p_key bigint, p_test boolean, p_profile text, p_e164 text, p_country text, p_prefix text,
    p_address cidr, p_micros bigint, p_address_seconds integer,
    OUT settings jsonb, OUT approved_text text,  -- of the profile; NULL: there is none
    OUT verification_id bigint, OUT clock timestamptz, OUT frozen_reason text, OUT currency text, OUT available_micros bigint,
    OUT cost_micros bigint, OUT cap jsonb, OUT is_simulated boolean, OUT sends timestamptz[],
    OUT failed smallint[], OUT failed_at timestamptz[], OUT starts_of_address timestamptz[], OUT traffic jsonb
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    buyer account;
BEGIN
    SELECT balance.currency, balance.available_micros INTO currency, available_micros
      FROM balance WHERE account_id = p_account FOR NO KEY UPDATE;
    SELECT * INTO buyer FROM account WHERE account_id = p_account;
    frozen_reason := CASE WHEN buyer.frozen_at IS NOT NULL THEN buyer.frozen_reason END;
    SELECT verify_profile.settings, verify_profile.approved_text INTO settings, approved_text
      FROM verify_profile WHERE account_id = p_account AND test = p_test AND slug = p_profile;
    verification_id := nextval('verification_number');
    clock := now();
    cost_micros := CASE WHEN p_test THEN 0 ELSE discounted(p_account, p_micros) END;
    IF cost_micros > 0 THEN
        cap := spend_cap_broken(buyer, p_key, cost_micros);
    END IF;
    is_simulated := EXISTS (SELECT FROM number JOIN shelf USING (shelf_id) WHERE e164 = p_e164 AND carrier = 'simulated');
    sends := sends_to(p_account, p_test, p_e164);
    SELECT array_agg(recent.failed ORDER BY recent.failed_at), array_agg(recent.failed_at ORDER BY recent.failed_at)
      INTO failed, failed_at FROM failures_of(p_account, p_test, p_e164) AS recent;
    IF p_address IS NOT NULL THEN
        SELECT array_agg(created_at ORDER BY created_at DESC) INTO starts_of_address
          FROM (SELECT created_at FROM verification
                 WHERE account_id = p_account AND test = p_test AND address = p_address AND state <> 'blocked'
                   AND created_at > now() - p_address_seconds * interval '1 second'
                 ORDER BY created_at DESC LIMIT 1000) AS recent;
    END IF;
    traffic := traffic_of(p_account, p_test, p_profile, p_country, p_prefix);
END $$;

-- When texts were asked for, to a number within 24 hours, the newest first. Fallbacks are the same text.
CREATE OR REPLACE FUNCTION sends_to(p_account bigint, p_test boolean, p_e164 text) RETURNS timestamptz[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(created_at ORDER BY created_at DESC)
      FROM (SELECT created_at FROM verification_send
             WHERE account_id = p_account AND test = p_test AND e164 = p_e164 AND fallback_of IS NULL
               AND created_at > now() - interval '24 hours'
             ORDER BY created_at DESC LIMIT 100) AS recent
$$;

-- The wrong checks of a number within 24 hours, over all verifications of an account: a fresh code changes nothing.
CREATE OR REPLACE FUNCTION failures_of(p_account bigint, p_test boolean, p_e164 text)
RETURNS TABLE (failed smallint, failed_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT failed, failed_at FROM verification
     WHERE account_id = p_account AND test = p_test AND e164 = p_e164 AND failed > 0
       AND failed_at > now() - interval '24 hours'
$$;

-- The row of a start that was judged under the lock above: held, queued and told of in one transaction; one that the guard
-- has blocked is kept for its reasons alone. ``p_send``: no text is sent to a profile's test numbers.
CREATE OR REPLACE FUNCTION start_verification(
    p_verification bigint, p_account bigint, p_key bigint, p_test boolean, p_profile text, p_e164 text, p_country text,
    p_prefix text, p_address cidr, p_blocked boolean, p_mac bytea, p_sealed bytea, p_locale text, p_template text,
    p_digits smallint, p_bound boolean, p_checks smallint, p_sends smallint, p_charge text, p_cost bigint, p_currency text,
    p_metadata jsonb, p_decisions jsonb, p_ttl integer, p_resend integer, p_send boolean, p_carrier text, p_sender text,
    p_others jsonb, p_segments smallint
) RETURNS verification LANGUAGE plpgsql AS $$
DECLARE
    made verification;
BEGIN
    INSERT INTO verification (verification_id, account_id, key_id, test, profile, e164, country, prefix, address, state, mac,
                              sealed, locale, template, digits, bound, checks_left, sends_left, charge, cost_micros,
                              held_micros, currency, metadata, decisions, expires_at, resend_at, ended_at)
         VALUES (p_verification, p_account, p_key, p_test, p_profile, p_e164, p_country, p_prefix, p_address,
                 CASE WHEN p_blocked THEN 'blocked'::verification_state ELSE 'pending' END, p_mac, p_sealed, p_locale,
                 p_template, p_digits, p_bound, p_checks, p_sends, p_charge, p_cost,
                 CASE WHEN p_blocked THEN 0 ELSE p_cost END, p_currency, p_metadata, p_decisions,
                 date_trunc('second', now()) + p_ttl * interval '1 second', now() + p_resend * interval '1 second',
                 CASE WHEN p_blocked THEN now() END)
      RETURNING * INTO made;
    IF p_blocked THEN
        PERFORM count_traffic(ARRAY[p_verification], 0, 1, 0, 0, 0);
        PERFORM tell_of_verifications(ARRAY[p_verification], 'blocked');
        RETURN made;
    END IF;
    PERFORM hold_for_verification(made, CASE WHEN p_charge = 'sent' THEN 1::smallint END);
    IF p_send THEN
        INSERT INTO verification_send (verification_id, account_id, test, e164, number, carrier, sender, others, segments, deadline)
             VALUES (p_verification, p_account, p_test, p_e164, 1, p_carrier, p_sender, p_others, p_segments, made.expires_at);
    END IF;
    PERFORM count_traffic(ARRAY[p_verification], 1, 0, 0, 0, p_cost);
    PERFORM tell_of_verifications(ARRAY[p_verification], 'started');
    RETURN made;
END $$;

-- Holds the price of a verification, or of one text of it; its use is counted as that of leases is.
CREATE OR REPLACE FUNCTION hold_for_verification(p_made verification, p_send smallint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_made.cost_micros > 0 THEN
        INSERT INTO transfer (account_id, verification_id, send_number, kind, debit, credit, amount_micros, currency)
             VALUES (p_made.account_id, p_made.verification_id, p_send, 'hold', 'available', 'held', p_made.cost_micros,
                     p_made.currency);
        PERFORM count_verify_usage(p_made, p_made.cost_micros);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION count_verify_usage(p_made verification, p_micros bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO usage AS so_far (account_id, test, dimension, day, value, micros)
    SELECT p_made.account_id, p_made.test, part.dimension, p_made.day, part.value, p_micros
      FROM (VALUES ('country', p_made.country), ('key', p_made.key_id::text), ('service', 'verify')) AS part (dimension, value)
     ORDER BY part.dimension
    ON CONFLICT (account_id, test, dimension, day, value) DO UPDATE SET micros = so_far.micros + excluded.micros
$$;

-- What an event tells of a verification, as the outbox keeps it; never the code.
CREATE OR REPLACE FUNCTION tell_of_verifications(p_verifications bigint[], p_what text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO event (account_id, test, type, data)
    SELECT account_id, test, 'verification.' || p_what,
           jsonb_build_object('verification_id', 'ver_' || told.verification_id, 'phone_number', e164, 'country', country,
                              'profile', profile, 'status', state, 'metadata', coalesce(metadata, '{}'),
                              'cost_micros', captured_micros, 'currency', currency)
      FROM unnest(p_verifications) AS told (verification_id) JOIN verification USING (verification_id) ORDER BY verification_id
$$;

-- Ends verifications whose rows the caller has locked. What an approval costs is captured, everything else that is still
-- held is given back: for the approval that did not come, and for texts that will not go out any more.
CREATE OR REPLACE FUNCTION end_verifications(p_verifications bigint[], p_state verification_state) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    one verification;
BEGIN
    PERFORM FROM balance WHERE account_id IN (SELECT account_id FROM verification WHERE verification_id = ANY (p_verifications))
      ORDER BY account_id FOR NO KEY UPDATE;
    UPDATE verification_send SET state = 'dropped', error = 'verification_ended', ended_at = now()
     WHERE verification_id = ANY (p_verifications) AND state = 'queued';
    FOR one IN UPDATE verification SET state = p_state, ended_at = now(), mac = NULL, sealed = NULL
                WHERE verification_id = ANY (p_verifications) RETURNING * LOOP
        IF one.charge = 'approved' AND one.cost_micros > 0 THEN
            PERFORM settle_verification(one, NULL, p_state = 'approved');
        END IF;
    END LOOP;
    PERFORM settle_texts(p_verifications);
    PERFORM count_traffic(p_verifications, 0, 0, (p_state <> 'cancelled')::integer, (p_state = 'approved')::integer, 0);
    PERFORM tell_of_verifications(p_verifications, p_state::text);
END $$;

-- Of verifications that are charged by the text: captures what is held for each text that a carrier took, and gives back
-- what is held for those that will not go out any more, once the verification has ended. The caller holds balances.
CREATE OR REPLACE FUNCTION settle_texts(p_verifications bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held record;
BEGIN
    FOR held IN SELECT one AS whole, hold.send_number AS number, coalesce(texts.is_taken, false) AS is_taken
                  FROM verification AS one
                  JOIN transfer AS hold ON hold.verification_id = one.verification_id AND hold.kind = 'hold'
                  LEFT JOIN LATERAL (
                      SELECT bool_or(sent_at IS NOT NULL) AS is_taken, bool_or(state IN ('queued', 'submitting')) AS is_open
                        FROM verification_send AS sending
                       WHERE sending.verification_id = one.verification_id AND sending.number = hold.send_number) AS texts ON true
                 WHERE one.verification_id = ANY (p_verifications) AND charge = 'sent'
                   AND NOT EXISTS (SELECT FROM transfer AS done
                                    WHERE done.verification_id = one.verification_id AND done.send_number = hold.send_number
                                      AND done.kind <> 'hold')
                   AND (texts.is_taken OR one.state <> 'pending' AND NOT coalesce(texts.is_open, false))
                 ORDER BY one.verification_id, hold.send_number LOOP
        PERFORM settle_verification(held.whole, held.number, held.is_taken);
    END LOOP;
END $$;

-- Locks what settling the texts of these sends needs: verifications by id, then balances by account.
CREATE OR REPLACE FUNCTION hold_texts(p_sends bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    paid bigint[];
BEGIN
    SELECT array_agg(DISTINCT verification_id) INTO paid
      FROM verification_send JOIN verification USING (verification_id)
     WHERE send_id = ANY (p_sends) AND charge = 'sent' AND cost_micros > 0;
    IF paid IS NOT NULL THEN
        PERFORM FROM verification WHERE verification_id = ANY (paid) ORDER BY verification_id FOR NO KEY UPDATE;
        PERFORM FROM balance WHERE account_id IN (SELECT account_id FROM verification WHERE verification_id = ANY (paid))
          ORDER BY account_id FOR NO KEY UPDATE;
    END IF;
    RETURN paid;
END $$;

-- Captures what is held for a verification, or for one text of it, or gives it back. The caller holds the balance.
CREATE OR REPLACE FUNCTION settle_verification(p_one verification, p_send smallint, p_capture boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO transfer (account_id, verification_id, send_number, kind, debit, credit, amount_micros, currency)
         VALUES (p_one.account_id, p_one.verification_id, p_send,
                 CASE WHEN p_capture THEN 'capture'::transfer_kind ELSE 'release' END, 'held',
                 CASE WHEN p_capture THEN 'revenue'::book ELSE 'available' END, p_one.cost_micros, p_one.currency);
    UPDATE verification
       SET captured_micros = captured_micros + CASE WHEN p_capture THEN p_one.cost_micros ELSE 0 END,
           released_micros = released_micros + CASE WHEN p_capture THEN 0 ELSE p_one.cost_micros END
     WHERE verification_id = p_one.verification_id;
    IF NOT p_capture THEN
        PERFORM count_verify_usage(p_one, -p_one.cost_micros);
    END IF;
END $$;

-- One check: counted first, then compared, all under the lock of the row. What is compared are macs under a key that the
-- caller does not have, so that where two differ says nothing of the code.
CREATE OR REPLACE FUNCTION check_verification(
    p_account bigint, p_test boolean, p_verification bigint, p_mac bytea, p_most_failed integer,
    OUT problem text, OUT retry_at timestamptz, OUT one verification
) LANGUAGE plpgsql AS $$
DECLARE
    wrong integer;
BEGIN
    SELECT * INTO one FROM verification
     WHERE verification_id = p_verification AND account_id = p_account AND test = p_test FOR NO KEY UPDATE;
    IF one.verification_id IS NULL THEN
        problem := 'not_found';
    ELSIF one.state = 'failed' THEN
        problem := 'max_checks_reached';
    ELSIF one.state = 'expired' THEN
        problem := 'verification_expired';
    ELSIF one.state <> 'pending' THEN
        problem := 'verification_finished';
    END IF;
    IF problem IS NOT NULL THEN
        RETURN;
    END IF;
    IF one.expires_at <= now() THEN
        PERFORM end_verifications(ARRAY[p_verification], 'expired');
        problem := 'verification_expired';
    ELSE
        -- Checks of one number's verifications come one after the other, so that their sum is exact.
        PERFORM pg_advisory_xact_lock(hashtextextended(format('%s %s %s', p_account, p_test, one.e164), 0x766572));
        SELECT coalesce(sum(failures.failed), 0), min(failures.failed_at) + interval '24 hours' INTO wrong, retry_at
          FROM failures_of(p_account, p_test, one.e164) AS failures;
        IF wrong >= p_most_failed THEN
            problem := 'too_many_checks';
            RETURN;
        END IF;
        retry_at := NULL;
        UPDATE verification
           SET checks_left = checks_left - 1, failed = failed + (mac <> p_mac)::integer,
               failed_at = CASE WHEN mac <> p_mac THEN now() ELSE failed_at END
         WHERE verification_id = p_verification;
        IF one.mac = p_mac THEN
            PERFORM end_verifications(ARRAY[p_verification], 'approved');
        ELSIF one.checks_left = 1 THEN
            PERFORM end_verifications(ARRAY[p_verification], 'failed');
            problem := 'max_checks_reached';
        END IF;
    END IF;
    SELECT * INTO one FROM verification WHERE verification_id = p_verification;
END $$;

-- The same text once more. ``p_pauses``: seconds until the next one is allowed, after each.
CREATE OR REPLACE FUNCTION resend_verification(
    p_account bigint, p_test boolean, p_verification bigint, p_pauses integer[], p_in_ten_minutes integer, p_in_a_day integer,
    OUT problem text, OUT retry_at timestamptz, OUT rule text, OUT recent integer, OUT threshold integer,
    OUT available_micros bigint, OUT one verification
) LANGUAGE plpgsql AS $$
DECLARE
    before smallint;
    was verification_send;
    sends timestamptz[];
BEGIN
    SELECT * INTO one FROM verification
     WHERE verification_id = p_verification AND account_id = p_account AND test = p_test FOR NO KEY UPDATE;
    IF one.verification_id IS NULL THEN
        problem := 'not_found';
    ELSIF one.state = 'expired' OR one.state = 'pending' AND one.expires_at <= now() THEN
        problem := 'verification_expired';
    ELSIF one.state <> 'pending' THEN
        problem := 'verification_finished';
    ELSIF one.sends_left = 0 THEN
        problem := 'max_sends_reached';
    ELSIF one.resend_at > now() THEN
        problem := 'resend_too_early';
        retry_at := one.resend_at;
    END IF;
    IF problem IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT balance.available_micros INTO available_micros FROM balance WHERE account_id = p_account FOR NO KEY UPDATE;
    sends := sends_to(p_account, p_test, one.e164);
    SELECT broken.rule, broken.most, broken.within, broken.until INTO rule, threshold, recent, retry_at
      FROM (SELECT budget.rule, most, sends[most] + span AS until,
                   (SELECT count(*)::integer FROM unnest(sends) AS each WHERE each > now() - span) AS within
              FROM (VALUES ('sends_per_ten_minutes', p_in_ten_minutes, interval '10 minutes'),
                           ('sends_per_day', p_in_a_day, interval '24 hours')) AS budget (rule, most, span)
             WHERE sends[most] > now() - span) AS broken
     ORDER BY until DESC LIMIT 1;
    IF rule IS NOT NULL THEN
        problem := 'too_many_sends';
        RETURN;
    END IF;
    IF one.charge = 'sent' AND available_micros < one.cost_micros THEN
        problem := 'insufficient_balance';
        RETURN;
    END IF;
    SELECT * INTO was FROM verification_send
     WHERE verification_id = p_verification AND fallback_of IS NULL ORDER BY send_id DESC LIMIT 1;
    IF was.send_id IS NULL THEN  -- a test number, to which nothing is sent
        before := 1;
    ELSE
        before := was.number;
        INSERT INTO verification_send (verification_id, account_id, test, e164, number, carrier, sender, others, segments, deadline)
             VALUES (p_verification, p_account, p_test, one.e164, before + 1, was.carrier, was.sender, was.others, was.segments, one.expires_at);
        IF one.charge = 'sent' THEN
            PERFORM hold_for_verification(one, (before + 1)::smallint);
        END IF;
    END IF;
    UPDATE verification
       SET sends_left = sends_left - 1,
           resend_at = now() + p_pauses[least(before + 1, cardinality(p_pauses))] * interval '1 second',
           held_micros = held_micros + CASE WHEN one.charge = 'sent' AND was.send_id IS NOT NULL THEN one.cost_micros ELSE 0 END
     WHERE verification_id = p_verification RETURNING * INTO one;
END $$;

CREATE OR REPLACE FUNCTION cancel_verification(
    p_account bigint, p_test boolean, p_verification bigint, OUT problem text, OUT one verification
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT * INTO one FROM verification
     WHERE verification_id = p_verification AND account_id = p_account AND test = p_test FOR NO KEY UPDATE;
    IF one.verification_id IS NULL THEN
        problem := 'not_found';
    ELSIF one.state = 'pending' THEN
        PERFORM end_verifications(ARRAY[p_verification], CASE WHEN one.expires_at <= now() THEN 'expired'::verification_state ELSE 'cancelled' END);
        SELECT * INTO one FROM verification WHERE verification_id = p_verification;
    END IF;
    IF one.state = 'expired' THEN
        problem := 'verification_expired';
    ELSIF one.state <> 'cancelled' THEN
        problem := 'verification_finished';
    END IF;
END $$;

-- Ends the verifications whose time is over; how many. Several sweepers pass each other by.
CREATE OR REPLACE FUNCTION expire_verifications(p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    due bigint[];
BEGIN
    SELECT array_agg(verification_id ORDER BY verification_id) INTO due
      FROM (SELECT verification_id FROM verification WHERE ended_at IS NULL AND expires_at <= now()
             ORDER BY expires_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED) AS late;
    IF due IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM end_verifications(due, 'expired');
    RETURN cardinality(due);
END $$;
