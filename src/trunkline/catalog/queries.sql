-- name: version
SELECT version FROM catalog_version

-- name: services
SELECT service_id, slug, name, domain, senders, aliases FROM service ORDER BY slug

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

-- name: switch
INSERT INTO service_switch (service_id, country, enabled)
SELECT service_id, $2, $3 FROM service WHERE slug = $1
ON CONFLICT (service_id, country) DO UPDATE SET enabled = excluded.enabled
RETURNING service_id

-- name: stock
SELECT country, sum(numbers)::bigint AS numbers FROM shelf
 WHERE NOT test AND carrier = ANY ($1::text[]) GROUP BY country

-- name: busy
SELECT shelf.country, count(*) AS busy FROM slot JOIN shelf USING (shelf_id)
 WHERE service_id = $1 AND open_at > now() AND NOT shelf.test AND shelf.carrier = ANY ($2::text[])
 GROUP BY shelf.country
