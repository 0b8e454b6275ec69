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
