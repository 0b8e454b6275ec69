-- What the guard judges by. Rows are written in one order, under the lock of the account's balance.

-- Adds to the hour and the day of a verification's account, profile, country and prefix.
CREATE OR REPLACE FUNCTION count_traffic(
    p_verifications bigint[], p_starts integer, p_blocked integer, p_decided integer, p_approved integer, p_micros bigint
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO verify_traffic AS so_far
        (account_id, test, dimension, value, span, began, starts, blocked, decided, approved, micros, busiest)
    SELECT account_id, test, part.dimension, part.value, lapse.span, lapse.began, count(*) * p_starts, count(*) * p_blocked,
           count(*) * p_decided, count(*) * p_approved, count(*) * p_micros, 0
      FROM verification,
           LATERAL (VALUES ('account', ''), ('profile', profile), ('country', country), ('prefix', prefix)) AS part (dimension, value),
           LATERAL (VALUES ('hour', date_trunc('hour', now(), 'UTC')), ('day', date_trunc('day', now(), 'UTC'))) AS lapse (span, began)
     WHERE verification_id = ANY (p_verifications)
     GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (account_id, test, dimension, value, span, began) DO UPDATE
       SET starts = so_far.starts + excluded.starts, blocked = so_far.blocked + excluded.blocked,
           decided = so_far.decided + excluded.decided, approved = so_far.approved + excluded.approved,
           micros = so_far.micros + excluded.micros,
           busiest = CASE WHEN so_far.span = 'day' AND so_far.dimension = 'account' AND excluded.starts > 0 THEN
               greatest(so_far.busiest,
                        (SELECT sum(hour.starts) FROM verify_traffic AS hour
                          WHERE hour.account_id = so_far.account_id AND hour.test = so_far.test AND hour.dimension = 'account'
                            AND hour.value = '' AND hour.span = 'hour' AND hour.began = date_trunc('hour', now(), 'UTC')) + 1)
               ELSE so_far.busiest END
$$;

-- Of each dimension: this hour and the one before, the last 24 hours, and the 28 days before today.
CREATE OR REPLACE FUNCTION traffic_of(
    p_account bigint, p_test boolean, p_profile text, p_country text, p_prefix text
) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_object_agg(part.dimension, to_jsonb(seen))
      FROM (VALUES ('account', ''), ('profile', p_profile), ('country', p_country), ('prefix', p_prefix)) AS part (dimension, value),
           LATERAL (
               SELECT coalesce(sum(starts) FILTER (WHERE span = 'hour' AND began = this_hour), 0) AS starts_this_hour,
                      coalesce(sum(starts) FILTER (WHERE span = 'hour' AND began = this_hour - interval '1 hour'), 0) AS starts_hour_before,
                      coalesce(sum(micros) FILTER (WHERE span = 'hour' AND began = this_hour), 0) AS micros_this_hour,
                      coalesce(sum(micros) FILTER (WHERE span = 'day' AND began = today), 0) AS micros_today,
                      coalesce(sum(starts) FILTER (WHERE span = 'hour'), 0) AS starts_24h,
                      coalesce(sum(decided) FILTER (WHERE span = 'hour'), 0) AS decided_24h,
                      coalesce(sum(approved) FILTER (WHERE span = 'hour'), 0) AS approved_24h,
                      count(*) FILTER (WHERE span = 'day' AND began < today) AS days,
                      coalesce(sum(starts) FILTER (WHERE span = 'day' AND began < today), 0) AS starts_28d,
                      coalesce(sum(decided) FILTER (WHERE span = 'day' AND began < today), 0) AS decided_28d,
                      coalesce(sum(approved) FILTER (WHERE span = 'day' AND began < today), 0) AS approved_28d,
                      coalesce(max(busiest) FILTER (WHERE span = 'day' AND began < today), 0) AS busiest_28d
                 FROM (SELECT date_trunc('hour', now(), 'UTC') AS this_hour, date_trunc('day', now(), 'UTC') AS today) AS clock,
                      verify_traffic
                WHERE account_id = p_account AND test = p_test
                  AND verify_traffic.dimension = part.dimension AND verify_traffic.value = part.value
                  AND (span = 'hour' AND began > this_hour - interval '24 hours' OR span = 'day' AND began >= today - interval '28 days')
           ) AS seen
$$;
