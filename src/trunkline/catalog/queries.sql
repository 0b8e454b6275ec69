-- name: version
SELECT version, services FROM catalog_version

-- name: services
-- The $2 that follow a slug.
SELECT service_id, slug, name, domain, senders, aliases, magic FROM service WHERE slug > $1 ORDER BY slug LIMIT $2

-- name: is_service
SELECT EXISTS (SELECT FROM service WHERE slug = $1 AND NOT magic)

-- name: prices
SELECT service_id, country, currency, price_micros FROM price_rule

-- name: switches
SELECT slug, country, enabled FROM service_switch JOIN service USING (service_id) ORDER BY slug, country NULLS FIRST

-- name: put_services
INSERT INTO service (slug, name, domain, senders, aliases)
SELECT slug, name, nullif(domain, ''), coalesce(string_to_array(nullif(senders, ''), ';'), '{}'),
       coalesce(string_to_array(nullif(aliases, ''), ';'), '{}')
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS row (slug, name, domain, senders, aliases)
ON CONFLICT (slug) DO UPDATE
   SET name = excluded.name, domain = excluded.domain, senders = excluded.senders, aliases = excluded.aliases

-- name: put_price
INSERT INTO price_rule (service_id, country, currency, price_micros)
VALUES ((SELECT service_id FROM service WHERE slug = $1), $2, $3, $4)
ON CONFLICT (service_id, country, currency) DO UPDATE SET price_micros = excluded.price_micros

-- name: seed_price
INSERT INTO price_rule (service_id, country, currency, price_micros) VALUES (NULL, NULL, $1, $2) ON CONFLICT DO NOTHING

-- name: put_tier
INSERT INTO price_tier (from_completed, percent_off) VALUES ($1, $2)
ON CONFLICT (from_completed) DO UPDATE SET percent_off = excluded.percent_off

-- name: tiers
SELECT from_completed, percent_off FROM price_tier ORDER BY from_completed

-- name: drop_tier
DELETE FROM price_tier WHERE from_completed = $1 RETURNING from_completed

-- name: switch
INSERT INTO service_switch (service_id, country, enabled)
SELECT service_id, $2, $3 FROM service WHERE slug = $1 AND NOT magic
ON CONFLICT (service_id, country) DO UPDATE SET enabled = excluded.enabled
RETURNING service_id

-- name: stock
SELECT country, sum(numbers)::bigint AS numbers FROM shelf
 WHERE NOT test AND carrier = ANY ($1::text[]) GROUP BY country

-- name: busy
SELECT shelf.country, count(*) AS busy FROM slot JOIN shelf USING (shelf_id)
 WHERE service_id = $1 AND open_at > now() AND NOT shelf.test AND shelf.carrier = ANY ($2::text[])
 GROUP BY shelf.country

-- name: ask_control
WITH asked AS (
    INSERT INTO service_control AS had (account_id, service_id, domain, method, token)
    SELECT $1, service_id, domain, $3, $4 FROM service WHERE slug = $2 AND domain IS NOT NULL
    ON CONFLICT (account_id, service_id) DO UPDATE
       SET method = excluded.method, domain = excluded.domain,
           proved_at = CASE WHEN had.domain = excluded.domain THEN had.proved_at END
    RETURNING *
)
SELECT asked.*, slug AS service FROM service LEFT JOIN asked USING (service_id) WHERE slug = $2 AND NOT magic

-- name: control
SELECT service_control.*, slug AS service FROM service_control JOIN service USING (service_id)
 WHERE account_id = $1 AND slug = $2

-- name: controls
SELECT service_control.*, slug AS service FROM service_control JOIN service USING (service_id)
 WHERE account_id = $1 ORDER BY slug

-- name: all_controls
SELECT email, slug, service_control.domain, method, created_at, proved_at
  FROM service_control JOIN service USING (service_id)
  JOIN (SELECT account_id, email FROM account) AS holder USING (account_id)
 ORDER BY slug, email LIMIT $1

-- name: prove_control
UPDATE service_control SET proved_at = now() FROM service
 WHERE account_id = $1 AND service_control.service_id = $2 AND token = $3 AND service_control.domain = $4
   AND service.service_id = service_control.service_id
RETURNING service_control.*, slug AS service

-- name: give_up_control
DELETE FROM service_control USING service
 WHERE account_id = $1 AND slug = $2 AND service.service_id = service_control.service_id
RETURNING service_control.*, slug AS service
