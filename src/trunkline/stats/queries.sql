-- name: groups
SELECT country, slug AS service, operator, carrier, buckets, leases
  FROM outcome_groups($1, $2, date_trunc('hour', now(), 'UTC') - ($3 - 1) * interval '1 hour',
                      (now() AT TIME ZONE 'UTC')::date - ($4 - 1), $5, (SELECT service_id FROM service WHERE slug = $6),
                      $7, $8, $9, $10, $11) WITH ORDINALITY AS found
  LEFT JOIN service USING (service_id)
 WHERE $6 IS NULL OR EXISTS (SELECT FROM service WHERE slug = $6)
 ORDER BY ordinality

-- name: forget_hours
DELETE FROM outcome_hour
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM outcome_hour WHERE hour < now() - $1 * interval '1 day'
                          ORDER BY hour LIMIT $2 FOR UPDATE SKIP LOCKED))

-- name: forget_days
DELETE FROM outcome_day
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM outcome_day WHERE day < (now() AT TIME ZONE 'UTC')::date - $1::integer
                          ORDER BY day LIMIT $2 FOR UPDATE SKIP LOCKED))
