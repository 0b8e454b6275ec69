-- name: empty_shelves
UPDATE shelf SET numbers = 0

-- name: services
INSERT INTO service (slug, name) SELECT 'bench_' || n, 'Bench service ' || n FROM generate_series(0, :count - 1) AS n

-- Numbers that nobody has: a North American exchange never begins with 0. Places as stock_numbers() gives them.
-- name: numbers
WITH stocked AS (
    INSERT INTO shelf (country, carrier, operator, numbers) VALUES ('us', :carrier, 'bench', :count::integer) RETURNING shelf_id
)
INSERT INTO number (e164, shelf_id, stripe, place)
SELECT '+1' || (:first::bigint + n), shelf_id, n % 64, n / 64 + 1 FROM stocked, generate_series(1, :count::integer) AS n

-- Numbers of the bench's shelf that have served a service and rested, first places first.
-- name: used
INSERT INTO slot (service_id, shelf_id, stripe, place, number_id, last_account, rested_at, open_at)
SELECT service_id, shelf_id, stripe, place, number_id, 0, now() - interval '1 hour', now() - interval '1 hour'
  FROM number JOIN shelf USING (shelf_id), service
 WHERE shelf.operator = 'bench' AND slug = :service AND (place - 1) * 64 + stripe < :numbers

-- Live leases on numbers that have none, as purchase() makes them, for the accounts in turn.
-- name: leases
WITH chosen AS (
    SELECT number.*, country, carrier, accounts.list[1 + number_id % cardinality(accounts.list)] AS account_id
      FROM (SELECT :accounts::bigint[] AS list) AS accounts, number JOIN shelf USING (shelf_id)
     WHERE shelf.operator = 'bench' AND NOT EXISTS (SELECT FROM slot WHERE slot.number_id = number.number_id)
     ORDER BY number_id LIMIT :limit
), leased AS (
    INSERT INTO activation (account_id, test, number_id, e164, country, service_id, carrier, cost_micros, fee_micros,
                            currency, expires_at, cancel_after, rest_seconds)
    SELECT account_id, false, number_id, e164, country, service_id, carrier, 100000, 0, 'USD',
           date_trunc('second', now()) + interval '1 hour', now(), 0
      FROM chosen, service WHERE slug = :service ORDER BY number_id
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

-- Leases that have ended and their transfers, from :first + 1 to :last, over sixty days, as purchase(), receive() and settle()
-- leave them: four of five captured, the fifth released. Without triggers; SQL.totals makes up for them.
-- name: ended_leases
WITH leased AS (
    INSERT INTO activation (account_id, test, number_id, e164, country, service_id, carrier, state, revision, cost_micros,
                            fee_micros, refund_micros, currency, created_at, day, expires_at, cancel_after, ended_at, rest_seconds)
    SELECT :account::bigint + n % :accounts::bigint, false, n, '+1' || (:first_number::bigint + n), 'us', 1 + n % 50, 'simulated',
           (CASE WHEN n % 5 = 0 THEN 'expired' ELSE 'completed' END)::activation_state, (n % 5 > 0)::integer, 100000,
           0, CASE WHEN n % 5 = 0 THEN 100000 ELSE 0 END, 'USD', at, (at AT TIME ZONE 'UTC')::date,
           at + interval '20 minutes', at, at + interval '5 minutes', 0
      FROM generate_series(:first::bigint + 1, :last) AS n,
           LATERAL (SELECT now() - (1 - n / :leases::float8) * interval '60 days' AS at) AS moment
    RETURNING activation_id, account_id, cost_micros, refund_micros, currency, created_at
)
INSERT INTO transfer (account_id, activation_id, kind, debit, credit, amount_micros, currency, created_at)
SELECT account_id, activation_id, leg.kind::transfer_kind, leg.debit::book, leg.credit::book, cost_micros, currency, created_at
  FROM leased, LATERAL (VALUES ('hold', 'available', 'held', true), ('capture', 'held', 'revenue', refund_micros = 0),
                               ('release', 'held', 'available', refund_micros > 0)) AS leg (kind, debit, credit, moves)
 WHERE moves

-- name: totals
WITH used AS (
    INSERT INTO usage (account_id, test, dimension, day, value, leases, received, expired, micros)
    SELECT account_id, false, part.dimension, day, part.value, count(*), count(*) FILTER (WHERE revision > 0),
           count(*) FILTER (WHERE revision = 0), sum(cost_micros - refund_micros)
      FROM activation,
           LATERAL (VALUES ('key', key_id::text), ('service', service_id::text), ('country', country)) AS part (dimension, value)
     GROUP BY account_id, day, part.dimension, part.value
)
UPDATE balance SET available_micros = available_micros - kept
  FROM (SELECT account_id, sum(cost_micros - refund_micros) AS kept FROM activation GROUP BY account_id) AS bought
 WHERE balance.account_id = bought.account_id

-- What a month of leases leaves: over 30 days, 5 keys, 500 services, 100 countries, and a label with many values.
-- name: month_of_usage
INSERT INTO usage (account_id, test, dimension, day, value, leases, received, micros)
SELECT :account::bigint, false, part.dimension, date '2026-04-01' + n % 30, part.value, count(*), count(*), count(*) * 100000
  FROM generate_series(0, :leases::integer - 1) AS n,
       LATERAL (VALUES ('key', (n / 30 % 5)::text), ('service', (n / 150 % 500)::text),
                       ('country', chr(97 + n / 30 % 10) || chr(97 + n / 300 % 10)), ('label.run_id', 'run-' || n / 200)) AS part (dimension, value)
 GROUP BY 3, 4, 5

-- name: acts
INSERT INTO audit_entry (actor, account_id, action, target, data, address, request_id)
SELECT 'key:' || number % 50, 1001 + number % 20, 'key.created', 'key:' || number,
       jsonb_build_object('name', 'ci ' || number, 'scopes', jsonb_build_array('numbers', 'verify'), 'cidrs', '[]'::jsonb),
       '203.0.113.' || number % 256, 'req_' || md5(number::text)
  FROM generate_series(1, :count::int) AS number

-- An endpoint for each account, that wants everything; the secret is no secret.
-- name: endpoints
WITH made AS (
    INSERT INTO webhook_endpoint (account_id, test, url, events)
    SELECT account_id, false, url, '{*}' FROM unnest(:accounts::bigint[], :urls::text[]) AS row (account_id, url)
    RETURNING endpoint_id
)
INSERT INTO webhook_secret (endpoint_id, secret) SELECT endpoint_id, sha256(endpoint_id::text::bytea) FROM made

-- An event for each live lease of some accounts.
-- name: events
INSERT INTO event (account_id, test, activation_id, type)
SELECT account_id, false, activation_id, 'activation.completed' FROM activation WHERE account_id = ANY (:accounts::bigint[])

-- Events of the smallest kind, one for each account named.
-- name: tell
INSERT INTO event (account_id, test, type, data)
SELECT account_id, false, 'key.created', '{"key_id": "0"}' FROM unnest(:accounts::bigint[]) AS account_id

-- name: stock_everywhere
INSERT INTO shelf (country, carrier, operator, numbers)
SELECT country, 'simulated', 'everywhere', 100 FROM unnest(:countries::text[]) AS country

-- A verification that waits for its code, held as a start holds it.
-- name: pending_verification
INSERT INTO verification (verification_id, account_id, key_id, test, profile, e164, country, prefix, mac, digits, checks_left,
                          sends_left, charge, cost_micros, held_micros, currency, expires_at, resend_at)
VALUES (:verification::bigint, :account::bigint, 0, false, 'default', :e164::text, 'de', left(:e164::text, -4), :mac::bytea, 6,
        5, 4, 'approved', 50000, 50000, 'USD', now() + interval '1 hour', now())

-- name: held_verifications
INSERT INTO transfer (account_id, verification_id, kind, debit, credit, amount_micros, currency)
SELECT account_id, verification_id, 'hold', 'available', 'held', 50000, 'USD' FROM verification
 WHERE verification_id BETWEEN 50000000 AND 59999999

-- Verifications of an account, one a second, that expired after a wrong code.
-- name: past_verifications
INSERT INTO verification (verification_id, account_id, key_id, test, profile, e164, country, prefix, state, checks_left,
                          sends_left, failed, failed_at, charge, cost_micros, currency, created_at, expires_at, resend_at, ended_at)
SELECT n, :account::bigint, 0, false, 'default', e164, 'de', left(e164, -4), 'expired', 4, 4, 1, at, 'approved', 0, 'USD', at, at, at, at
  FROM generate_series(:first::bigint, :last::bigint) AS n,
       LATERAL (SELECT '+4917' || (n % 900000000 + 100000000) AS e164, now() - n * interval '1 second' AS at) AS own

-- name: queued_verification
WITH one AS (
    INSERT INTO verification (verification_id, account_id, key_id, test, profile, e164, country, prefix, mac, sealed, digits,
                              checks_left, sends_left, charge, cost_micros, currency, expires_at, resend_at)
    VALUES (:verification::bigint, :account::bigint, 0, false, 'default', :e164::text, 'de', left(:e164::text, -4),
            decode(repeat('5a', 32), 'hex'), :sealed::bytea, 6, 5, 4, 'approved', 0, 'USD', now() + interval '1 hour', now())
    RETURNING *
)
INSERT INTO verification_send (verification_id, account_id, test, e164, number, carrier, sender, segments, deadline)
SELECT verification_id, account_id, test, e164, 1, 'north', 'ACME', 1, expires_at FROM one
