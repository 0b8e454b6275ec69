-- How texts come in: received once, or put together of parts. Locks as in ``routines.sql``.

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
