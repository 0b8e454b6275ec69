-- name: text_is_due
SELECT min(due_at) <= now() FROM simulated_text

-- name: due_texts
SELECT simulated_text.*,
       EXISTS (SELECT FROM activation WHERE activation.activation_id = simulated_text.activation_id AND ended_at IS NULL) AS live
  FROM simulated_text WHERE due_at <= now() ORDER BY due_at, simulated_text_id LIMIT :limit

-- name: forget_texts
DELETE FROM simulated_text WHERE simulated_text_id = ANY (:texts::bigint[])

-- name: plan_receipt
INSERT INTO simulated_receipt (reference, due_at, state)
VALUES (:reference, now() + :after_seconds::double precision * interval '1 second', :state)
ON CONFLICT (reference) DO NOTHING

-- name: due_receipts
SELECT reference, state FROM simulated_receipt WHERE told_at IS NULL AND due_at <= now() ORDER BY due_at LIMIT :limit

-- name: told_receipts
WITH old AS (DELETE FROM simulated_receipt WHERE due_at < now() - interval '1 day' AND told_at IS NOT NULL)
UPDATE simulated_receipt SET told_at = now() WHERE reference = ANY (:references::text[])
