-- Takes a number off the shelf at once. The lock waits for purchases that are taking it; later ones find it frozen. Its
-- live leases are the caller's to end, in the same transaction. Answers nothing where the pool has no such number, and
-- NULL where it is frozen already.
CREATE OR REPLACE FUNCTION freeze_number(p_e164 text, p_reason text) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
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

-- Puts it back: the slots that picks came upon meanwhile are open at once, the others as they were.
CREATE OR REPLACE FUNCTION unfreeze_number(p_e164 text) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
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

-- Puts numbers on the shelves of a carrier, at places beyond all that are taken; the row of the shelf is the lock.
-- Answers the numbers that the pool already had, with their carriers; those are left as they are. One that the simulated network had, and
-- that nobody leases at the moment, goes over to the operator's carrier: it is theirs, and simulated ones are many.
CREATE OR REPLACE FUNCTION stock_numbers(
    p_carrier text, p_test boolean, p_e164 text[], p_countries text[], p_operators text[]
) RETURNS TABLE (known text, known_carrier text) LANGUAGE plpgsql AS $$
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
