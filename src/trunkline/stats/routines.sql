-- How texts arrive, counted by the reader of the outbox: each lease once, when its first text comes or it ends without.

-- Which bucket a time falls into: each is 5 % wider than the one before, from one at 0 to 0.05 s on.
CREATE OR REPLACE FUNCTION text_seconds_bucket(p_seconds double precision) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT least(floor(ln(1 + greatest(p_seconds, 0)) / ln(1.05)), 250)::smallint
$$;

CREATE OR REPLACE FUNCTION count_outcomes(p_events event[]) RETURNS void LANGUAGE sql AS $$
    WITH outcome AS (
        SELECT fresh.created_at AS at, lease.test, lease.country, lease.service_id, shelf.operator, lease.carrier,
               CASE WHEN fresh.type = 'sms.received'
                    THEN text_seconds_bucket(extract(epoch FROM fresh.created_at - lease.created_at)::double precision)
                    ELSE -1::smallint END AS bucket
          FROM unnest(p_events) AS fresh JOIN activation AS lease USING (activation_id)
          JOIN number USING (number_id) JOIN shelf USING (shelf_id)
         WHERE fresh.type IN ('activation.cancelled', 'activation.expired')
            OR fresh.type = 'sms.received' AND fresh.data ->> 'revision' = '1'
    ), by_hour AS (
        INSERT INTO outcome_hour AS so_far (hour, test, country, service_id, operator, carrier, bucket, leases)
        SELECT date_trunc('hour', at, 'UTC'), test, country, service_id, operator, carrier, bucket, count(*)
          FROM outcome GROUP BY 1, 2, 3, 4, 5, 6, 7
        ON CONFLICT (hour, test, country, service_id, operator, carrier, bucket)
        DO UPDATE SET leases = so_far.leases + excluded.leases
    )
    INSERT INTO outcome_day AS so_far (day, test, country, service_id, operator, carrier, bucket, leases)
    SELECT (at AT TIME ZONE 'UTC')::date, test, country, service_id, operator, carrier, bucket, count(*)
      FROM outcome GROUP BY 1, 2, 3, 4, 5, 6, 7
    ON CONFLICT (day, test, country, service_id, operator, carrier, bucket)
    DO UPDATE SET leases = so_far.leases + excluded.leases
$$;
