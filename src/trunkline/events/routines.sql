-- The outbox: its days, and the reader that plans deliveries and counts outcomes, each event once.

-- Makes tables for today (UTC) and the days to come, and drops those that are older than ``p_keep`` days. How many were
-- made or dropped. A day whose events lie in ``event_rest`` already takes them along. Everybody who writes or reads events
-- waits behind the locks that this needs, so where a long transaction (a dump) is in the way, it is left for next time.
CREATE OR REPLACE FUNCTION keep_event_days(p_keep integer) RETURNS integer LANGUAGE plpgsql SET lock_timeout = 250 AS $$
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
END $$;

-- What an event says, with the lease and the text that it is about; ``contents.content`` writes it down. No row: it is kept
-- no longer. LIMIT: so it is looked up by its keys alone, however many are asked for.
CREATE OR REPLACE FUNCTION contents_of(p_account bigint, p_event bigint, p_at timestamptz) RETURNS TABLE (
    event_id bigint, type text, data jsonb, created_at timestamptz, activation_id bigint, e164 text, country text, service text,
    cost_micros bigint, refund_micros bigint, currency text, labels jsonb, revision integer, sender text,
    received_at timestamptz, incomplete boolean, code text, body text, sealed bytea, key bytea
) LANGUAGE sql STABLE AS $$
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

-- Where to look for what a later snapshot shows and an earlier one does not: no smaller number of a transaction can be among
-- it. One that was under way and still is holds that back in neither.
CREATE OR REPLACE FUNCTION first_unseen(p_seen pg_snapshot, p_now pg_snapshot) RETURNS xid8 LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce((SELECT under_way FROM pg_snapshot_xip(p_seen) AS under_way
                      WHERE pg_visible_in_snapshot(under_way, p_now) ORDER BY under_way LIMIT 1),
                    pg_snapshot_xmax(p_seen))
$$;

-- Takes the next events that are committed and not taken yet: plans their deliveries and counts their outcomes, in the
-- transaction that moves the position. One process at a time; a second one takes nothing. ``endpoints`` are those with
-- something new to send; ``more``: there may be more at once.
CREATE OR REPLACE FUNCTION fan_out(p_limit integer, OUT taken integer, OUT endpoints bigint[], OUT more boolean)
LANGUAGE plpgsql AS $$
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
        PERFORM count_verifications(fresh);
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

-- A database that was dumped and brought back into another server, or whose standby took over without its last
-- transactions, counts transactions from a smaller number: those that its events name are in the future. Events that
-- were taken get a number from before all time, the others this transaction's.
CREATE OR REPLACE FUNCTION number_anew(p_place tail_position) RETURNS tail_position LANGUAGE plpgsql AS $$
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
END $$;

-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE event IS
    'The transactional outbox, partitioned by day: what happened, written in the transaction in which it happened.';
COMMENT ON TABLE event_rest IS
    'The partition of days that have none of their own.';
COMMENT ON TABLE tail_position IS
    'How far the durable reader of the outbox has come, as a snapshot and not as an id.';
