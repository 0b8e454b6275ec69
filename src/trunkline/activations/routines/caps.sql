-- What a lease costs its buyer, and why they may not have it: price rules, switches of services, caps on leases. They
-- read, and change nothing.

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

-- Why an account may lease no more numbers on real carriers at the moment: too many active, too many in an hour, too few
-- that got a text. NULL: it may. Lives of leases end within the hour, so that two hours of them are all to look at. Leases
-- for services that are the buyer's own count only where another such is asked for (p_proved).
CREATE OR REPLACE FUNCTION capped_because(
    p_account account, p_max_active integer, p_per_hour integer, p_floor numeric, p_proved boolean,
    OUT problem text, OUT facts jsonb
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    most_active integer := coalesce(p_account.max_active, p_max_active);
    most_bought integer := coalesce(p_account.purchases_per_hour, p_per_hour);
    lowest numeric := coalesce(p_account.success_floor, p_floor);
    recent record;
BEGIN
    SELECT count(*) FILTER (WHERE ended_at IS NULL) AS active, min(expires_at) FILTER (WHERE ended_at IS NULL) AS next_end,
           count(*) FILTER (WHERE created_at > now() - interval '1 hour') AS bought
      INTO recent FROM activation
     WHERE account_id = p_account.account_id AND capped AND (p_proved OR NOT proved)
       AND created_at > now() - interval '2 hours';
    IF recent.active >= most_active THEN
        problem := 'too_many_active';
        facts := jsonb_build_object('limit', most_active, 'retry_at', recent.next_end);
        RETURN;
    END IF;
    IF recent.bought >= most_bought THEN
        problem := 'too_many_purchases';
        facts := jsonb_build_object('limit', most_bought, 'retry_at',
            (SELECT created_at + interval '1 hour' FROM activation
              WHERE account_id = p_account.account_id AND capped AND (p_proved OR NOT proved)
                AND created_at > now() - interval '1 hour'
              ORDER BY created_at DESC OFFSET greatest(most_bought - 1, 0) LIMIT 1));
        RETURN;
    END IF;
    IF lowest > 0 THEN
        SELECT count(*) AS ended, avg((revision > 0)::integer) AS share, min(created_at) + interval '1 day' AS forgotten
          INTO recent
          FROM (SELECT revision, created_at FROM activation
                 WHERE account_id = p_account.account_id AND capped AND (p_proved OR NOT proved) AND ended_at IS NOT NULL
                   AND created_at > now() - interval '1 day' ORDER BY created_at DESC LIMIT 50) AS last;
        IF recent.ended >= 10 AND recent.share < lowest THEN
            problem := 'success_rate_too_low';
            facts := jsonb_build_object('floor', lowest, 'success_rate', round(recent.share, 3));
        END IF;
    END IF;
END $$;

-- Why an account may lease no more numbers of the simulated network with its test keys: too many active, too many of ``any``
-- or of one country at a time (its shelves have ``p_stock`` numbers), too many in a day (UTC). NULL: it may.
CREATE OR REPLACE FUNCTION test_capped_because(
    p_account bigint, p_service integer, p_country text, p_stock bigint, p_max_active integer, p_max_any integer,
    p_share numeric, p_per_day integer, OUT problem text, OUT facts jsonb
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    today constant date := (now() AT TIME ZONE 'UTC')::date;
    of_country constant integer := CASE WHEN p_share IS NOT NULL THEN greatest(10, floor(p_stock * p_share)) END;
    running record;
BEGIN
    SELECT count(*) AS active, min(expires_at) AS next_end,
           count(*) FILTER (WHERE service_id = 0) AS any_active, min(expires_at) FILTER (WHERE service_id = 0) AS any_end,
           count(*) FILTER (WHERE country = p_country) AS there, min(expires_at) FILTER (WHERE country = p_country) AS there_end
      INTO running FROM activation WHERE account_id = p_account AND test AND ended_at IS NULL;
    problem := 'too_many_active';
    IF running.active >= p_max_active THEN
        facts := jsonb_build_object('of', 'test', 'limit', p_max_active, 'retry_at', running.next_end);
    ELSIF p_service = 0 AND running.any_active >= p_max_any THEN
        facts := jsonb_build_object('of', 'any', 'limit', p_max_any, 'retry_at', running.any_end);
    ELSIF running.there >= of_country THEN
        facts := jsonb_build_object('of', 'country', 'limit', of_country, 'retry_at', running.there_end);
    ELSIF (SELECT sum(leases) FROM usage
            WHERE account_id = p_account AND test AND dimension = 'key' AND day = today) >= p_per_day THEN
        problem := 'too_many_purchases';
        facts := jsonb_build_object('of', 'test', 'limit', p_per_day, 'retry_at', today + 1);
    ELSE
        problem := NULL;
    END IF;
END $$;
