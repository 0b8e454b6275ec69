-- name: version
SELECT version, services FROM catalog_version

-- name: services
-- The :limit that follow a slug.
SELECT service_id, slug, name, domain, senders, aliases, magic FROM service WHERE slug > :after ORDER BY slug LIMIT :limit

-- name: is_service
SELECT EXISTS (SELECT FROM service WHERE slug = :slug AND NOT magic)

-- name: prices
SELECT service_id, country, currency, price_micros FROM price_rule

-- name: switches
SELECT slug, country, enabled FROM service_switch JOIN service USING (service_id) ORDER BY slug, country NULLS FIRST

-- name: put_services
INSERT INTO service (slug, name, domain, senders, aliases)
SELECT slug, name, nullif(domain, ''), coalesce(string_to_array(nullif(senders, ''), ';'), '{}'),
       coalesce(string_to_array(nullif(aliases, ''), ';'), '{}')
  FROM unnest(:slugs::text[], :names::text[], :domains::text[], :senders::text[], :aliases::text[]) AS row (slug, name, domain, senders, aliases)
ON CONFLICT (slug) DO UPDATE
   SET name = excluded.name, domain = excluded.domain, senders = excluded.senders, aliases = excluded.aliases

-- name: put_price
INSERT INTO price_rule (service_id, country, currency, price_micros)
VALUES ((SELECT service_id FROM service WHERE slug = :service), :country, :currency, :micros)
ON CONFLICT (service_id, country, currency) DO UPDATE SET price_micros = excluded.price_micros

-- name: seed_price
INSERT INTO price_rule (service_id, country, currency, price_micros) VALUES (NULL, NULL, :currency, :micros) ON CONFLICT DO NOTHING

-- name: put_tier
INSERT INTO price_tier (from_completed, percent_off) VALUES (:from_completed, :percent)
ON CONFLICT (from_completed) DO UPDATE SET percent_off = excluded.percent_off

-- name: tiers
SELECT from_completed, percent_off FROM price_tier ORDER BY from_completed

-- name: drop_tier
DELETE FROM price_tier WHERE from_completed = :from_completed RETURNING from_completed

-- name: switch
INSERT INTO service_switch (service_id, country, enabled)
SELECT service_id, :country, :enabled FROM service WHERE slug = :service AND NOT magic
ON CONFLICT (service_id, country) DO UPDATE SET enabled = excluded.enabled
RETURNING service_id

-- name: stock
SELECT country, sum(numbers)::bigint AS numbers FROM shelf
 WHERE NOT test AND carrier = ANY (:carriers::text[]) GROUP BY country

-- name: busy
SELECT shelf.country, count(*) AS busy FROM slot JOIN shelf USING (shelf_id)
 WHERE service_id = :service AND open_at > now() AND NOT shelf.test AND shelf.carrier = ANY (:carriers::text[])
 GROUP BY shelf.country

-- name: ask_control
WITH asked AS (
    INSERT INTO service_control AS had (account_id, service_id, domain, method, token)
    SELECT :account, service_id, domain, :method, :token FROM service WHERE slug = :service AND domain IS NOT NULL
    ON CONFLICT (account_id, service_id) DO UPDATE
       SET method = excluded.method, domain = excluded.domain,
           proved_at = CASE WHEN had.domain = excluded.domain THEN had.proved_at END
    RETURNING *
)
SELECT asked.*, slug AS service FROM service LEFT JOIN asked USING (service_id) WHERE slug = :service AND NOT magic

-- name: control
SELECT service_control.*, slug AS service FROM service_control JOIN service USING (service_id)
 WHERE account_id = :account AND slug = :service

-- name: controls
SELECT service_control.*, slug AS service FROM service_control JOIN service USING (service_id)
 WHERE account_id = :account ORDER BY slug

-- name: all_controls
SELECT email, slug, service_control.domain, method, created_at, proved_at
  FROM service_control JOIN service USING (service_id)
  JOIN (SELECT account_id, email FROM account) AS holder USING (account_id)
 ORDER BY slug, email LIMIT :limit

-- name: prove_control
UPDATE service_control SET proved_at = now() FROM service
 WHERE account_id = :account AND service_control.service_id = :service AND token = :token AND service_control.domain = :domain
   AND service.service_id = service_control.service_id
RETURNING service_control.*, slug AS service

-- name: give_up_control
DELETE FROM service_control USING service
 WHERE account_id = :account AND slug = :service AND service.service_id = service_control.service_id
RETURNING service_control.*, slug AS service

-- name: put_numbers
SELECT * FROM stock_numbers(:carrier, :test, :numbers, :countries, :operators)

-- name: has_numbers
SELECT EXISTS (SELECT FROM shelf WHERE carrier = :carrier)

-- name: numbers
SELECT number.number_id, number.e164, shelf.country, shelf.carrier, shelf.operator,
       (SELECT count(*) FROM activation WHERE activation.number_id = number.number_id AND ended_at IS NULL) AS live,
       frozen_number.reason AS frozen, coalesce(frozen_number.retired, false) AS retired
  FROM number JOIN shelf USING (shelf_id) LEFT JOIN frozen_number USING (number_id)
 WHERE number_id > :after AND NOT test
   AND (:carrier::text IS NULL OR shelf.carrier = :carrier) AND (:country::text IS NULL OR shelf.country = :country)
 ORDER BY number_id LIMIT :limit

-- name: alike
SELECT number.e164, shelf.carrier FROM number JOIN shelf USING (shelf_id)
 WHERE number.e164 = ANY (:numbers::text[])
UNION
SELECT number.e164, shelf.carrier FROM number JOIN shelf USING (shelf_id)
 WHERE right(number.e164, 6) = ANY (:endings::text[]) AND shelf.carrier <> 'simulated'

-- name: freeze
SELECT number_id FROM freeze_number(:number, :reason) AS frozen (number_id)

-- name: unfreeze
SELECT number_id FROM unfreeze_number(:number) AS thawed (number_id)

-- name: carriers_of
SELECT number.e164, shelf.carrier FROM number JOIN shelf USING (shelf_id)
 WHERE number.e164 = ANY (:number::text[]) AND NOT shelf.test

-- name: numbers_page
SELECT number.number_id, number.e164 FROM number JOIN shelf USING (shelf_id)
 WHERE NOT shelf.test AND shelf.carrier = :carrier AND number_id > :after ORDER BY number_id LIMIT :limit

-- name: move
SELECT * FROM move_numbers(:carrier, :numbers, :countries, :operators)

-- name: retire
INSERT INTO frozen_number (number_id, reason, retired)
SELECT number_id, :reason, true FROM number WHERE e164 = ANY (:number::text[]) ORDER BY number_id
ON CONFLICT DO NOTHING RETURNING number_id

-- name: remove
SELECT the_number, stays FROM remove_numbers(:number)

-- name: by_carrier
-- What hangs on each carrier that has numbers: those that can be leased, all of them, and the leases that run.
SELECT carrier, sum(numbers)::bigint AS leasable,
       (SELECT count(*) FROM number WHERE number.shelf_id = ANY (array_agg(shelf.shelf_id))) AS numbers,
       (SELECT count(*) FROM activation WHERE ended_at IS NULL AND activation.carrier = shelf.carrier) AS live
  FROM shelf WHERE NOT test AND carrier <> ALL (:carriers::text[]) GROUP BY carrier ORDER BY carrier
