-- What an account may spend, and what it gets cheaper. They read, and change nothing.

-- Which cap on spending a cost would break: the account's, the key's, or one of a key that it comes from, by creation or by
-- rotation; of the day or the month (UTC). What is spent with a key counts for all that it comes from. NULL: none.
CREATE OR REPLACE FUNCTION spend_cap_broken(p_account account, p_key bigint, p_cost bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    first_of_next date := (date_trunc('month', today) + interval '1 month')::date;
    line bigint[] := (SELECT key_id || elders FROM api_key WHERE key_id = p_key);
    broken jsonb;
BEGIN
    IF num_nonnulls(p_account.cap_day_micros, p_account.cap_month_micros) = 0
       AND NOT EXISTS (SELECT FROM api_key
                        WHERE key_id = ANY (line) AND num_nonnulls(cap_day_micros, cap_month_micros) > 0) THEN
        RETURN NULL;
    END IF;
    WITH spent AS (
        SELECT spender.key_id || spender.elders AS line, part.micros, part.micros_today
          FROM (SELECT value, sum(micros) AS micros, coalesce(sum(micros) FILTER (WHERE day = today), 0) AS micros_today
                  FROM usage
                 WHERE account_id = p_account.account_id AND NOT test AND dimension = 'key'
                   AND day >= date_trunc('month', today)::date
                 GROUP BY value) AS part
          LEFT JOIN api_key AS spender ON spender.key_id = part.value::bigint
    ), cap AS (
        SELECT 'account_day' AS name, p_account.cap_day_micros AS most, sum(micros_today) AS had, today + 1 AS until FROM spent
        UNION ALL
        SELECT 'account_month', p_account.cap_month_micros, sum(micros), first_of_next FROM spent
        UNION ALL
        SELECT 'key_' || period, most, (SELECT sum(CASE period WHEN 'day' THEN micros_today ELSE micros END)
                                          FROM spent WHERE spent.line @> ARRAY[elder.key_id]), until
          FROM api_key AS elder,
               LATERAL (VALUES ('day', cap_day_micros, today + 1), ('month', cap_month_micros, first_of_next))
                    AS own (period, most, until)
         WHERE elder.key_id = ANY (line)
    )
    SELECT jsonb_build_object('cap', name, 'cap_micros', most, 'spent_micros', coalesce(had, 0), 'retry_at', until) INTO broken
      FROM cap WHERE coalesce(had, 0) + p_cost > most
     ORDER BY until DESC, most LIMIT 1;
    RETURN broken;
END $$;

-- What a volume of verifications in the calendar month makes cheaper; fractions of a micro are the customer's.
CREATE OR REPLACE FUNCTION discounted(p_account bigint, p_micros bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    tier price_tier;
BEGIN
    IF EXISTS (SELECT FROM price_tier) THEN
        SELECT * INTO tier FROM price_tier
         WHERE from_completed <= (SELECT coalesce(sum(received), 0) FROM usage
                                   WHERE account_id = p_account AND NOT test AND dimension = 'key'
                                     AND day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date)
         ORDER BY from_completed DESC LIMIT 1;
    END IF;
    RETURN p_micros - ceil(p_micros * coalesce(tier.percent_off, 0) / 100);
END $$;
