-- name: stock
SELECT * FROM stock_numbers($1, $2, $3, $4, $5)

-- name: has_numbers
SELECT EXISTS (SELECT FROM shelf WHERE carrier = $1)

-- name: list
SELECT number.number_id, number.e164, shelf.country, shelf.carrier, shelf.operator,
       (SELECT count(*) FROM activation WHERE activation.number_id = number.number_id AND ended_at IS NULL) AS live,
       frozen_number.reason AS frozen, coalesce(frozen_number.retired, false) AS retired
  FROM number JOIN shelf USING (shelf_id) LEFT JOIN frozen_number USING (number_id)
 WHERE number_id > $1 AND NOT test
   AND ($2::text IS NULL OR shelf.carrier = $2) AND ($3::text IS NULL OR shelf.country = $3)
 ORDER BY number_id LIMIT $4

-- name: alike
SELECT number.e164, shelf.carrier FROM number JOIN shelf USING (shelf_id)
 WHERE number.e164 = ANY ($1::text[])
UNION
SELECT number.e164, shelf.carrier FROM number JOIN shelf USING (shelf_id)
 WHERE right(number.e164, 6) = ANY ($2::text[]) AND shelf.carrier <> 'simulated'

-- name: freeze
SELECT number_id FROM freeze_number($1, $2) AS frozen (number_id)

-- name: unfreeze
SELECT number_id FROM unfreeze_number($1) AS thawed (number_id)

-- name: carriers_of
SELECT number.e164, shelf.carrier FROM number JOIN shelf USING (shelf_id)
 WHERE number.e164 = ANY ($1::text[]) AND NOT shelf.test

-- name: page
SELECT number.number_id, number.e164 FROM number JOIN shelf USING (shelf_id)
 WHERE NOT shelf.test AND shelf.carrier = $1 AND number_id > $2 ORDER BY number_id LIMIT $3

-- name: move
SELECT * FROM move_numbers($1, $2, $3, $4)

-- name: retire
INSERT INTO frozen_number (number_id, reason, retired)
SELECT number_id, $2, true FROM number WHERE e164 = ANY ($1::text[]) ORDER BY number_id
ON CONFLICT DO NOTHING RETURNING number_id

-- name: remove
SELECT the_number, stays FROM remove_numbers($1)

-- name: by_carrier
-- What hangs on each carrier that has numbers: those that can be leased, all of them, and the leases that run.
SELECT carrier, sum(numbers)::bigint AS leasable,
       (SELECT count(*) FROM number WHERE number.shelf_id = ANY (array_agg(shelf.shelf_id))) AS numbers,
       (SELECT count(*) FROM activation WHERE ended_at IS NULL AND activation.carrier = shelf.carrier) AS live
  FROM shelf WHERE NOT test AND carrier <> ALL ($1::text[]) GROUP BY carrier ORDER BY carrier
