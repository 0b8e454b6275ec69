-- How texts arrive, counted by the reader of the outbox: each lease once, when its first text comes or it ends without.

-- Samples for one endpoint are no outcomes. A number that went over to another carrier is gone with its operator, which
-- is then '', as where none was given: its lease counts all the same.
CREATE OR REPLACE FUNCTION count_outcomes(p_events event[]) RETURNS void LANGUAGE sql AS $$
    WITH outcome AS (
        SELECT fresh.created_at AS at, lease.test, lease.country, lease.service_id,
               coalesce(shelf.operator, '') AS operator, lease.carrier,
               CASE WHEN fresh.type = 'sms.received'
                    THEN text_seconds_bucket(extract(epoch FROM fresh.created_at - lease.created_at)::double precision)
                    ELSE -1::smallint END AS bucket
          FROM unnest(p_events) AS fresh JOIN activation AS lease USING (activation_id)
          LEFT JOIN number USING (number_id) LEFT JOIN shelf USING (shelf_id)
         WHERE fresh.endpoint_id IS NULL
           AND (fresh.type IN ('activation.cancelled', 'activation.expired')
                OR fresh.type = 'sms.received' AND fresh.data ->> 'revision' = '1')
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

-- The largest groups of outcomes since the beginning of an hour or a day (the other of the two is NULL), each with its
-- histogram: buckets, and how many leases fell into each. ``p_by`` are the columns to group by; a filter that is NULL lets
-- everything through. Where groups are many, histograms are made of those that are shown alone.
CREATE OR REPLACE FUNCTION outcome_groups(
    p_by text[], p_test boolean, p_hour timestamptz, p_day date,
    p_country text, p_service integer, p_operator text, p_carrier text, p_least integer, p_limit bigint, p_offset bigint
) RETURNS TABLE (country text, service_id integer, operator text, carrier text, buckets smallint[], leases bigint[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
    many constant boolean := p_by @> '{country,service_id}';
    shown text;  -- the four columns; NULL is one value for all
    same text;
BEGIN
    SELECT string_agg(CASE WHEN name = ANY (p_by) THEN name ELSE format('NULL::%s AS %s', type, name) END, ', '),
           string_agg(format('source.%1$s = largest.%1$s', name), ' AND ') FILTER (WHERE name = ANY (p_by))
      INTO shown, same
      FROM (VALUES ('country', 'text'), ('service_id', 'integer'), ('operator', 'text'), ('carrier', 'text')) AS one (name, type);
    RETURN QUERY EXECUTE format(
        'WITH source AS NOT MATERIALIZED ('
        '    SELECT %1$s, bucket, leases FROM %2$s AND test = $3'
        '       AND ($4 IS NULL OR country = $4) AND ($5 IS NULL OR service_id = $5)'
        '       AND ($6 IS NULL OR operator = $6) AND ($7 IS NULL OR carrier = $7)'
        '), largest AS ('
        '    SELECT country, service_id, operator, carrier FROM source'
        '     GROUP BY 1, 2, 3, 4 HAVING sum(leases) >= $8 ORDER BY sum(leases) DESC, 1, 2, 3, 4 LIMIT $9 OFFSET $10'
        '), counted AS ('
        '    SELECT source.country, source.service_id, source.operator, source.carrier, bucket, sum(leases) AS leases'
        '      FROM source %3$s GROUP BY 1, 2, 3, 4, 5'
        ')'
        ' SELECT country, service_id, operator, carrier, array_agg(bucket), array_agg(leases::bigint) FROM counted'
        '  GROUP BY 1, 2, 3, 4 HAVING sum(leases) >= $8 ORDER BY sum(leases) DESC, 1, 2, 3, 4 %4$s',
        shown,
        CASE WHEN p_day IS NULL THEN 'outcome_hour WHERE hour >= $1' ELSE 'outcome_day WHERE day >= $2' END,
        CASE WHEN many THEN 'JOIN largest ON ' || same ELSE '' END,
        CASE WHEN many THEN '' ELSE 'LIMIT $9 OFFSET $10' END)
        USING p_hour, p_day, p_test, p_country, p_service, p_operator, p_carrier, p_least, p_limit, p_offset;
END $$;
