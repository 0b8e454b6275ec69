-- The durable queue of texts to be sent. A claim commits before anything is submitted; what a carrier did not answer is
-- never blindly sent again, but looked after by receipts, and by the next route once the first can deliver no more.

-- The next texts for these carriers. What can no longer arrive in time, or whose verification is over, is dropped.
CREATE OR REPLACE FUNCTION claim_sends(p_carriers text[], p_limit integer)
RETURNS TABLE (send_id bigint, lease integer, carrier text, sender text, e164 text, sealed bytea, verification_id bigint,
               seconds_left double precision, has_others boolean)
LANGUAGE sql AS $$
    WITH next AS (
        SELECT sending.send_id, one.state = 'pending' AND sending.deadline > now() AND one.sealed IS NOT NULL AS is_good,
               one.sealed, one.verification_id
          FROM (SELECT * FROM verification_send
                 WHERE state = 'queued' AND carrier = ANY (p_carriers) AND next_at <= now()
                 ORDER BY next_at, send_id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED) AS sending
          JOIN verification AS one USING (verification_id)
    ), claimed AS (
        UPDATE verification_send AS sending
           SET state = CASE WHEN is_good THEN 'submitting'::send_state ELSE 'dropped' END,
               error = CASE WHEN NOT is_good THEN 'too_late' END, lease = sending.lease + 1, attempts = attempts + 1,
               submitted_at = CASE WHEN is_good THEN now() END, ended_at = CASE WHEN NOT is_good THEN now() END
          FROM next WHERE sending.send_id = next.send_id
        RETURNING sending.*, next.sealed, is_good
    )
    SELECT send_id, lease, carrier, sender, e164, sealed, verification_id,
           extract(epoch FROM deadline - now())::double precision, others <> '[]'
      FROM claimed WHERE is_good ORDER BY send_id
$$;

-- Claims that were not submitted, back into the queue: the link went down, or asked for less.
CREATE OR REPLACE FUNCTION put_back_sends(p_sends bigint[], p_leases integer[], p_seconds double precision[]) RETURNS void
LANGUAGE sql AS $$
    UPDATE verification_send AS sending
       SET state = 'queued', submitted_at = NULL, next_at = now() + seconds * interval '1 second'
      FROM unnest(p_sends, p_leases, p_seconds) AS said (send_id, lease, seconds)
     WHERE sending.send_id = said.send_id AND sending.lease = said.lease AND state = 'submitting'
$$;

-- What became of claims: sent, refused or unknown, with what the carrier calls their parts (a JSON array for each).
CREATE OR REPLACE FUNCTION record_sends(p_sends bigint[], p_leases integer[], p_states send_state[], p_errors text[], p_names jsonb[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    recorded bigint[];
    sent bigint[];
    paid constant bigint[] := hold_texts(p_sends);
BEGIN
    WITH written AS (
        UPDATE verification_send AS sending
           SET state = said.state, error = said.error,
               sent_at = CASE WHEN said.state = 'sent' THEN now() END,
               ended_at = CASE WHEN said.state = 'refused' THEN now() END
          FROM unnest(p_sends, p_leases, p_states, p_errors) AS said (send_id, lease, state, error)
         WHERE sending.send_id = said.send_id AND sending.lease = said.lease AND sending.state IN ('submitting', 'unknown')
        RETURNING sending.*
    ), part AS (
        INSERT INTO verification_part AS had (carrier, name, send_id, parts)
        SELECT DISTINCT ON (carrier, name) carrier, name, written.send_id, jsonb_array_length(names)
          FROM written JOIN unnest(p_sends, p_names) AS said (send_id, names) USING (send_id),
               LATERAL jsonb_array_elements_text(names) AS name
         ORDER BY carrier, name, written.send_id DESC
        ON CONFLICT (carrier, name) DO UPDATE SET send_id = excluded.send_id, parts = excluded.parts, state = NULL, at = now()
    )
    SELECT array_agg(send_id ORDER BY send_id), array_agg(send_id ORDER BY send_id) FILTER (WHERE state = 'sent')
      INTO recorded, sent FROM written;
    IF recorded IS NULL THEN
        RETURN;
    END IF;
    PERFORM tell_of_verifications(array_agg(verification_id), 'sent') FROM verification_send WHERE send_id = ANY (sent);
    PERFORM fall_back(ARRAY(SELECT send_id FROM verification_send WHERE send_id = ANY (recorded) AND state = 'refused'));
    PERFORM tell_of_verifications(array_agg(verification_id), 'undelivered') FROM verification_send AS refused
      WHERE send_id = ANY (recorded) AND state = 'refused'
        AND NOT EXISTS (SELECT FROM verification_send AS other WHERE other.fallback_of = refused.send_id);
    PERFORM take_early_receipts(recorded);
    IF paid IS NOT NULL THEN
        PERFORM settle_texts(paid);
    END IF;
END $$;

-- Puts texts onto their next route, each once, as long as their verification waits for its code.
CREATE OR REPLACE FUNCTION fall_back(p_sends bigint[]) RETURNS integer LANGUAGE sql AS $$
    WITH next AS (
        INSERT INTO verification_send (verification_id, account_id, test, e164, number, fallback_of, carrier, sender, others,
                                       segments, deadline)
        SELECT was.verification_id, was.account_id, was.test, was.e164, was.number, was.send_id, was.others -> 0 ->> 'carrier',
               was.others -> 0 ->> 'sender', was.others - 0, was.segments, was.deadline
          FROM verification_send AS was JOIN verification AS one USING (verification_id)
         WHERE was.send_id = ANY (p_sends) AND was.others <> '[]' AND one.state = 'pending' AND was.deadline > now()
         ORDER BY was.send_id
        ON CONFLICT (fallback_of) WHERE fallback_of IS NOT NULL DO NOTHING
        RETURNING send_id
    )
    SELECT count(*)::integer FROM next
$$;

-- Receipts, by any of the names that a carrier may mean the same text by; ``p_names`` are arrays, the likeliest first.
-- What nobody is waiting for yet is kept: it came before the answer to its submit.
CREATE OR REPLACE FUNCTION take_receipts(p_carriers text[], p_names jsonb[], p_states text[], p_errors text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    known bigint[];
BEGIN
    WITH said AS (
        SELECT carrier, state, error, place, ARRAY(SELECT jsonb_array_elements_text(names)) AS names
          FROM unnest(p_carriers, p_names, p_states, p_errors) WITH ORDINALITY AS told (carrier, names, state, error, place)
    ), part AS MATERIALIZED (  -- each looked up by itself, however many parts there are
        SELECT said.place, found.row_at
          FROM said LEFT JOIN LATERAL (
              SELECT part.ctid AS row_at FROM verification_part AS part
               WHERE part.carrier = said.carrier AND part.name = ANY (said.names)
               ORDER BY array_position(said.names, part.name) LIMIT 1) AS found ON true
    ), applied AS (
        UPDATE verification_part AS had SET state = last.state
          FROM (SELECT DISTINCT ON (row_at) row_at, said.state FROM said JOIN part USING (place)
                 WHERE row_at IS NOT NULL ORDER BY row_at, place DESC) AS last
         WHERE had.ctid = last.row_at
        RETURNING had.send_id
    ), early AS (
        INSERT INTO early_receipt AS had (carrier, name, names, state, error)
        SELECT DISTINCT ON (carrier, names[1]) carrier, names[1], names, state, error
          FROM said JOIN part USING (place) WHERE row_at IS NULL ORDER BY carrier, names[1], place DESC
        ON CONFLICT (carrier, name) DO UPDATE SET state = excluded.state, error = excluded.error, at = now()
    )
    SELECT array_agg(DISTINCT send_id) INTO known FROM applied;
    PERFORM judge_receipts(known);
END $$;

CREATE OR REPLACE FUNCTION take_early_receipts(p_sends bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    known bigint[];
BEGIN
    WITH early AS (
        SELECT part.carrier, part.name, part.send_id, receipt.name AS receipt, receipt.state
          FROM verification_part AS part
          JOIN early_receipt AS receipt ON receipt.carrier = part.carrier AND receipt.names @> ARRAY[part.name]
         WHERE part.send_id = ANY (p_sends)
    ), gone AS (
        DELETE FROM early_receipt USING early WHERE early_receipt.carrier = early.carrier AND early_receipt.name = early.receipt
    ), applied AS (
        UPDATE verification_part AS had SET state = early.state FROM early
         WHERE had.carrier = early.carrier AND had.name = early.name RETURNING had.send_id
    )
    SELECT array_agg(DISTINCT send_id) INTO known FROM applied;
    PERFORM judge_receipts(known);
END $$;

-- A text is delivered when all of its parts are, and undelivered as soon as one is.
CREATE OR REPLACE FUNCTION judge_receipts(p_sends bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ended bigint[];
    paid constant bigint[] := hold_texts(p_sends);
BEGIN
    IF p_sends IS NULL THEN
        RETURN;
    END IF;
    WITH seen AS (
        SELECT send_id, bool_or(part.state = 'undelivered') AS is_lost,
               count(*) FILTER (WHERE part.state = 'delivered') = max(parts) AS is_there
          FROM verification_part AS part WHERE send_id = ANY (p_sends) GROUP BY send_id
    ), written AS (
        UPDATE verification_send AS sending
           SET state = CASE WHEN is_lost THEN 'undelivered'::send_state ELSE 'delivered' END, ended_at = now(),
               sent_at = coalesce(sent_at, now())
          FROM seen
         WHERE sending.send_id = seen.send_id AND (is_lost OR is_there) AND sending.state IN ('submitting', 'sent', 'unknown')
        RETURNING sending.send_id
    )
    SELECT array_agg(send_id ORDER BY send_id) INTO ended FROM written;
    PERFORM tell_of_verifications(array_agg(verification_id), state::text)
       FROM verification_send WHERE send_id = ANY (ended) GROUP BY state ORDER BY state;
    PERFORM fall_back(ARRAY(SELECT send_id FROM verification_send WHERE send_id = ANY (ended) AND state = 'undelivered'));
    IF paid IS NOT NULL THEN
        PERFORM settle_texts(paid);
    END IF;
END $$;

-- Claims whose process is gone: nobody knows whether they went out. And texts of which nothing was heard within the time
-- that a route has, after which it delivers no more: they go onto the next one. How many changed.
CREATE OR REPLACE FUNCTION look_after_sends(p_claim_seconds double precision, p_route_seconds double precision, p_limit integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    lost constant bigint[] := ARRAY(
        SELECT send_id FROM verification_send
         WHERE state = 'submitting' AND submitted_at < now() - p_claim_seconds * interval '1 second'
         ORDER BY submitted_at LIMIT p_limit);
    paid constant bigint[] := hold_texts(lost);
    changed integer;
BEGIN
    UPDATE verification_send SET state = 'unknown', error = 'no_answer' WHERE send_id = ANY (lost) AND state = 'submitting';
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF paid IS NOT NULL THEN
        PERFORM settle_texts(paid);
    END IF;
    RETURN changed + fall_back(ARRAY(
        SELECT send_id FROM verification_send AS was
         WHERE state IN ('sent', 'unknown') AND submitted_at < now() - p_route_seconds * interval '1 second'
           AND submitted_at > now() - interval '20 minutes' AND others <> '[]'
           AND NOT EXISTS (SELECT FROM verification_send AS other WHERE other.fallback_of = was.send_id)
         ORDER BY submitted_at LIMIT p_limit));
END $$;
