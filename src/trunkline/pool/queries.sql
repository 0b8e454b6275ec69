-- name: stock
SELECT * FROM stock_numbers($1, $2, $3, $4, $5)

-- name: has_numbers
SELECT EXISTS (SELECT FROM shelf WHERE carrier = $1)

-- name: list
SELECT number.number_id, number.e164, shelf.country, shelf.carrier, shelf.operator,
       (SELECT count(*) FROM activation WHERE activation.number_id = number.number_id AND ended_at IS NULL) AS live,
       frozen_number.reason AS frozen
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
