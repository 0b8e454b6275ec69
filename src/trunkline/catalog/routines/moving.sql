-- Numbers change their carrier, or leave the pool; and the shelves' counts.

-- The slots of numbers, by the key, for each service that any number has served.
CREATE OR REPLACE FUNCTION slots_of(p_numbers bigint[]) RETURNS SETOF slot LANGUAGE sql STABLE AS $$
    WITH RECURSIVE served AS (
        SELECT min(service_id) AS service_id FROM slot
        UNION ALL
        SELECT (SELECT min(service_id) FROM slot WHERE slot.service_id > served.service_id) FROM served
         WHERE served.service_id IS NOT NULL
    )
    SELECT slot.* FROM number CROSS JOIN served
      JOIN slot ON slot.service_id = served.service_id AND slot.shelf_id = number.shelf_id
               AND slot.stripe = number.stripe AND slot.place = number.place
     WHERE number.number_id = ANY (p_numbers)
$$;

-- Takes numbers off their places; their slots are the answer. The locks of the numbers keep purchases away until the
-- end of the transaction, those of the leases keep their ends away, which look for a slot by where the number stands.
CREATE OR REPLACE FUNCTION take_slots(p_numbers bigint[]) RETURNS slot[] LANGUAGE plpgsql AS $$
DECLARE
    had slot[];
BEGIN
    PERFORM pg_advisory_xact_lock(-number_id) FROM (SELECT unnest(p_numbers) AS number_id ORDER BY 1) AS one;
    PERFORM FROM activation WHERE number_id = ANY (p_numbers) AND ended_at IS NULL
      ORDER BY activation_id FOR NO KEY UPDATE;
    WITH gone AS (
        DELETE FROM slot USING slots_of(p_numbers) AS old
         WHERE slot.service_id = old.service_id AND slot.shelf_id = old.shelf_id AND slot.stripe = old.stripe
           AND slot.place = old.place
        RETURNING slot.*
    )
    SELECT array_agg(row(gone.*)::slot) INTO had FROM gone;
    RETURN had;
END $$;

-- Moves numbers to shelves of another carrier, with the leases that run on them and the rests that are not over. A NULL
-- country or operator stays as it is. Answers the numbers that went.
CREATE OR REPLACE FUNCTION move_numbers(p_carrier text, p_e164 text[], p_countries text[], p_operators text[])
RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[] := ARRAY(SELECT number_id FROM number JOIN shelf USING (shelf_id)
                           WHERE e164 = ANY (p_e164) AND NOT test AND carrier NOT IN ('simulated', p_carrier));
    had slot[] := take_slots(ids);
BEGIN
    INSERT INTO shelf (country, carrier, operator, test)
    SELECT DISTINCT coalesce(row.country, shelf.country), p_carrier, coalesce(row.operator, shelf.operator), false
      FROM unnest(p_e164, p_countries, p_operators) AS row (e164, country, operator)
      JOIN number ON number.e164 = row.e164 AND number_id = ANY (ids) JOIN shelf USING (shelf_id)
     ORDER BY 1, 3
    ON CONFLICT DO NOTHING;
    PERFORM FROM shelf WHERE carrier = p_carrier AND NOT test ORDER BY shelf_id FOR UPDATE;
    WITH spot AS (
        SELECT number_id, new.shelf_id,
               new.places + row_number() OVER (PARTITION BY new.shelf_id ORDER BY number_id) AS position
          FROM unnest(p_e164, p_countries, p_operators) AS row (e164, country, operator)
          JOIN number ON number.e164 = row.e164 AND number_id = ANY (ids) JOIN shelf AS old USING (shelf_id)
          JOIN shelf AS new ON new.country = coalesce(row.country, old.country) AND NOT new.test
                           AND new.operator = coalesce(row.operator, old.operator) AND new.carrier = p_carrier
    ), moved AS (
        UPDATE number SET shelf_id = spot.shelf_id, stripe = spot.position % 64, place = spot.position / 64 + 1
          FROM spot WHERE spot.number_id = number.number_id
    )
    UPDATE shelf SET places = places + more.count
      FROM (SELECT shelf_id, count(*) FROM spot GROUP BY 1) AS more WHERE more.shelf_id = shelf.shelf_id;
    -- That a place has served a service means that those before it have: a slot that goes along makes the fresh numbers
    -- before it rested ones, open at once. Buyers who would take those meanwhile are locked out.
    PERFORM pg_advisory_xact_lock(service_id, shelf_id * 64 + stripe)
       FROM (SELECT DISTINCT old.service_id, number.shelf_id, number.stripe
               FROM unnest(had) AS old JOIN number USING (number_id) WHERE open_at > now() ORDER BY 1, 2, 3) AS row_of;
    WITH kept AS (
        INSERT INTO slot
        SELECT old.service_id, number.shelf_id, number.stripe, number.place, number_id, last_account, rested_at, open_at
          FROM unnest(had) AS old JOIN number USING (number_id) WHERE open_at > now()
        RETURNING *
    )
    INSERT INTO slot (service_id, shelf_id, stripe, place, number_id, rested_at, open_at)
    SELECT last.service_id, number.shelf_id, number.stripe, number.place, number.number_id, now(), now()
      FROM (SELECT service_id, shelf_id, stripe, max(place) AS place FROM kept GROUP BY 1, 2, 3) AS last
      JOIN number ON number.shelf_id = last.shelf_id AND number.stripe = last.stripe AND number.place < last.place
     WHERE NOT EXISTS (SELECT FROM kept WHERE kept.service_id = last.service_id AND kept.number_id = number.number_id)
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT e164 FROM number WHERE number_id = ANY (ids);
END $$;

-- Removes numbers for good; answers each with why it has to stay, or NULL where it went. What they have served is kept
-- with the leases.
CREATE OR REPLACE FUNCTION remove_numbers(p_e164 text[]) RETURNS TABLE (the_number text, stays text)
LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[] := ARRAY(SELECT number_id FROM number WHERE e164 = ANY (p_e164) ORDER BY number_id);
    gone bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(-number_id) FROM unnest(ids) AS one (number_id);
    RETURN QUERY
    SELECT number.e164,
           CASE WHEN EXISTS (SELECT FROM activation WHERE activation.number_id = number.number_id AND ended_at IS NULL)
                THEN 'is leased at the moment'
                WHEN EXISTS (SELECT FROM slot WHERE slot.number_id = number.number_id AND last_account IS NOT NULL
                                AND open_at > now() AND open_at <> 'infinity')
                THEN 'rests after a lease, whose texts could still come' END
      FROM number WHERE number_id = ANY (ids) ORDER BY number_id;
    SELECT array_agg(number_id) INTO gone FROM unnest(ids) AS one (number_id)
     WHERE NOT EXISTS (SELECT FROM activation WHERE activation.number_id = one.number_id AND ended_at IS NULL)
       AND NOT EXISTS (SELECT FROM slot WHERE slot.number_id = one.number_id AND last_account IS NOT NULL
                          AND open_at > now() AND open_at <> 'infinity');
    PERFORM take_slots(gone);
    DELETE FROM frozen_number WHERE number_id = ANY (gone);
    DELETE FROM number WHERE number_id = ANY (gone);
END $$;

-- A shelf's count: its numbers that are neither frozen nor retired, whoever puts them there or takes them away.
CREATE OR REPLACE FUNCTION count_numbers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        UPDATE shelf SET numbers = numbers + more.count
          FROM (SELECT shelf_id, count(*) FROM new_rows
                 WHERE NOT EXISTS (SELECT FROM frozen_number AS away WHERE away.number_id = new_rows.number_id)
                 GROUP BY shelf_id) AS more WHERE more.shelf_id = shelf.shelf_id;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        UPDATE shelf SET numbers = numbers - less.count
          FROM (SELECT shelf_id, count(*) FROM old_rows
                 WHERE NOT EXISTS (SELECT FROM frozen_number AS away WHERE away.number_id = old_rows.number_id)
                 GROUP BY shelf_id) AS less WHERE less.shelf_id = shelf.shelf_id;
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER numbers_come AFTER INSERT ON number REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_numbers();
CREATE OR REPLACE TRIGGER numbers_move AFTER UPDATE ON number REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_numbers();
CREATE OR REPLACE TRIGGER numbers_go AFTER DELETE ON number REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_numbers();

CREATE OR REPLACE FUNCTION count_away() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shelf SET numbers = numbers + change.count
      FROM (SELECT shelf_id, CASE TG_OP WHEN 'DELETE' THEN count(*) ELSE -count(*) END AS count
              FROM changed JOIN number USING (number_id) GROUP BY shelf_id) AS change
     WHERE change.shelf_id = shelf.shelf_id;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER numbers_put_away AFTER INSERT ON frozen_number REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_away();
CREATE OR REPLACE TRIGGER numbers_put_back AFTER DELETE ON frozen_number REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_away();
