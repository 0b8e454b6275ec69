-- name: text_is_due
SELECT min(due_at) <= now() FROM simulated_text

-- name: due_texts
SELECT simulated_text.*,
       EXISTS (SELECT FROM activation WHERE activation.activation_id = simulated_text.activation_id AND ended_at IS NULL) AS live
  FROM simulated_text WHERE due_at <= now() ORDER BY due_at, simulated_text_id LIMIT :limit

-- name: forget_texts
DELETE FROM simulated_text WHERE simulated_text_id = ANY (:texts::bigint[])
