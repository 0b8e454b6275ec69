-- The pick: which number serves a lease. Two look-ups find a number that has never served the service, one finds the
-- number that has rested longest; neither depends on how many there are or how many are used.

-- The first number of a stripe beyond the last place that has served the service.
CREATE OR REPLACE FUNCTION fresh_in(p_service integer, p_shelf integer, p_stripe integer) RETURNS SETOF number
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT * FROM number
     WHERE shelf_id = p_shelf AND stripe = p_stripe::smallint
       AND place > coalesce((SELECT max(place) FROM slot
                              WHERE service_id = p_service AND shelf_id = p_shelf AND stripe = p_stripe::smallint), 0)
     ORDER BY place LIMIT 1
$$;

CREATE OR REPLACE FUNCTION fresh_stripes(p_service integer, p_shelf integer) RETURNS SETOF integer
LANGUAGE sql STABLE AS $$
    SELECT stripe FROM generate_series(0, 63) AS stripe
     WHERE EXISTS (SELECT FROM fresh_in(p_service, p_shelf, stripe)) ORDER BY random()
$$;

-- Until when this buyer is kept off a number by another lease, or by a text that could still come for another account:
-- ``any`` (service 0) leases a number alone and reads whatever comes. The advisory lock (exclusive for ``any``, shared
-- for all others) makes both sides see each other, and writes nothing to disk. Where somebody is taking the number at
-- this moment nobody waits, since that could be to wait for each other: it is passed by for a second.
CREATE OR REPLACE FUNCTION kept_off_until(p_service integer, p_number number, p_account bigint) RETURNS timestamptz
LANGUAGE plpgsql AS $$
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

-- Takes the next fresh number of a stripe that the caller has locked, or none. A number that the buyer is kept off is
-- put aside (rested_at 'infinity', open_at not): it has its slot at once and is found again among the rested ones, as
-- soon as the lease that is in the way has ended (``settle``), at the latest at its deadline.
CREATE OR REPLACE FUNCTION take_fresh(
    p_service integer, p_shelf integer, p_stripe integer, p_account bigint, OUT picked number, OUT put_aside boolean
) LANGUAGE plpgsql AS $$
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

-- Whether a stripe could be locked in time.
CREATE OR REPLACE FUNCTION locked_before(p_until timestamptz, p_service integer, p_stripe integer) RETURNS boolean
LANGUAGE plpgsql AS $$
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

-- Buyers of one service start at a random stripe and pass by the stripes that others have locked; they wait only
-- where every stripe with a fresh number is locked, so that nobody is told "none" while the last one is in doubt. Who
-- has put numbers aside waits for a moment at most: others may wait for those numbers' stripes, in which they see them
-- still, and to wait for those others would be to wait for each other.
-- Once a shelf has no fresh number it is noted, which stays true until numbers are put onto it. The note is left to
-- whoever is writing it, since buyers look at the shelves in any order.
CREATE OR REPLACE FUNCTION pick_fresh(
    p_service integer, p_shelf integer, p_account bigint, INOUT has_put_aside boolean, OUT picked number
) LANGUAGE plpgsql AS $$
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

-- The number that has been open longest; else one that only rests from the account's own last lease.
CREATE OR REPLACE FUNCTION pick_rested(p_service integer, p_shelf integer, p_account bigint, p_test boolean) RETURNS number
LANGUAGE plpgsql AS $$
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

-- Whether a lease could be had now, without taking anything.
CREATE OR REPLACE FUNCTION has_stock(p_service integer, p_shelves integer[]) RETURNS boolean LANGUAGE sql STABLE AS $$
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
