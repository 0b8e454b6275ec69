-- name: empty_shelves
UPDATE shelf SET numbers = 0

-- name: services
INSERT INTO service (slug, name) SELECT 'bench_' || n, 'Bench service ' || n FROM generate_series(0, $1 - 1) AS n

-- Numbers that nobody has: a North American exchange never begins with 0. Places as stock_numbers() gives them.
-- name: numbers
WITH stocked AS (
    INSERT INTO shelf (country, carrier, operator, numbers) VALUES ('us', $1, 'bench', $3::integer) RETURNING shelf_id
)
INSERT INTO number (e164, shelf_id, stripe, place)
SELECT '+1' || ($2::bigint + n), shelf_id, n % 64, n / 64 + 1 FROM stocked, generate_series(1, $3::integer) AS n

-- Numbers of the bench's shelf that have served a service and rested, first places first.
-- name: used
INSERT INTO slot (service_id, shelf_id, stripe, place, number_id, last_account, rested_at, open_at)
SELECT service_id, shelf_id, stripe, place, number_id, 0, now() - interval '1 hour', now() - interval '1 hour'
  FROM number JOIN shelf USING (shelf_id), service
 WHERE shelf.operator = 'bench' AND slug = $1 AND (place - 1) * 64 + stripe < $2

-- Live leases on numbers that have none, as purchase() makes them, for the accounts in turn.
-- name: leases
WITH chosen AS (
    SELECT number.*, country, carrier, accounts.list[1 + number_id % cardinality(accounts.list)] AS account_id
      FROM (SELECT $1::bigint[] AS list) AS accounts, number JOIN shelf USING (shelf_id)
     WHERE shelf.operator = 'bench' AND NOT EXISTS (SELECT FROM slot WHERE slot.number_id = number.number_id)
     ORDER BY number_id LIMIT $3
), leased AS (
    INSERT INTO activation (account_id, test, number_id, e164, country, service_id, carrier, cost_micros, fee_micros,
                            currency, expires_at, cancel_after, rest_seconds)
    SELECT account_id, false, number_id, e164, country, service_id, carrier, 100000, 0, 'USD',
           date_trunc('second', now()) + interval '1 hour', now(), 0
      FROM chosen, service WHERE slug = $2 ORDER BY number_id
    RETURNING *
), kept AS (
    INSERT INTO slot (service_id, shelf_id, stripe, place, number_id, rested_at, open_at)
    SELECT service_id, shelf_id, stripe, place, number_id, 'infinity', 'infinity' FROM leased JOIN chosen USING (number_id)
), held AS (
    INSERT INTO transfer (account_id, activation_id, kind, debit, credit, amount_micros, currency)
    SELECT account_id, activation_id, 'hold', 'available', 'held', cost_micros, currency FROM leased
), told AS (
    INSERT INTO event (account_id, test, activation_id, type)
    SELECT account_id, test, activation_id, 'activation.created' FROM leased
)
SELECT activation_id, account_id, e164 FROM leased ORDER BY activation_id

-- name: counts
SELECT (SELECT count(*) FROM activation) AS leases, (SELECT count(*) FROM message WHERE activation_id IS NOT NULL) AS texts
