-- name: credit
INSERT INTO transfer (account_id, kind, debit, credit, amount_micros, currency)
SELECT account_id, 'credit', 'funding', 'available', $2, currency FROM balance WHERE account_id = $1

-- name: balance
SELECT currency, available_micros, held_micros FROM balance WHERE account_id = $1

-- name: transfers
SELECT transfer_id, activation_id, kind, amount_micros, currency, created_at FROM transfer
 WHERE account_id = $1 AND transfer_id < $2 ORDER BY transfer_id DESC LIMIT $3

-- name: unbalanced_currencies
SELECT currency, sum(amount_micros)::bigint AS off_micros FROM posting GROUP BY currency HAVING sum(amount_micros) <> 0

-- name: wrong_balances
SELECT account_id, balance.currency, available_micros, held_micros,
       coalesce(booked.available, 0)::bigint AS booked_available_micros, coalesce(booked.held, 0)::bigint AS booked_held_micros
  FROM balance
  FULL JOIN (SELECT account_id, currency,
                    sum(amount_micros) FILTER (WHERE book = 'available') AS available,
                    sum(amount_micros) FILTER (WHERE book = 'held') AS held
               FROM posting GROUP BY account_id, currency) AS booked USING (account_id, currency)
 WHERE available_micros IS DISTINCT FROM coalesce(booked.available, 0)
    OR held_micros IS DISTINCT FROM coalesce(booked.held, 0)
    OR available_micros < 0 OR held_micros < 0
 ORDER BY account_id LIMIT 100

-- name: wrong_leases
SELECT activation_id, state, cost_micros, coalesce(held, 0)::bigint AS held_micros,
       coalesce(captured, 0)::bigint AS captured_micros, coalesce(released, 0)::bigint AS released_micros,
       coalesce(fee, 0)::bigint AS fee_micros
  FROM activation
  FULL JOIN (SELECT activation_id,
                    sum(amount_micros) FILTER (WHERE kind = 'hold') AS held,
                    sum(amount_micros) FILTER (WHERE kind = 'capture') AS captured,
                    sum(amount_micros) FILTER (WHERE kind = 'release') AS released,
                    sum(amount_micros) FILTER (WHERE kind = 'fee') AS fee
               FROM transfer WHERE activation_id IS NOT NULL GROUP BY activation_id) AS moved USING (activation_id)
 WHERE coalesce(held, 0) IS DISTINCT FROM cost_micros
    OR coalesce(captured, 0) IS DISTINCT FROM CASE WHEN revision > 0 THEN cost_micros ELSE 0 END
    OR coalesce(released, 0) IS DISTINCT FROM CASE WHEN state IN ('cancelled', 'expired') THEN cost_micros - fee_micros ELSE 0 END
    OR coalesce(fee, 0) IS DISTINCT FROM CASE WHEN state IN ('cancelled', 'expired') THEN fee_micros ELSE 0 END
 ORDER BY activation_id LIMIT 100

-- name: counts
SELECT (SELECT count(*) FROM transfer) AS transfers, (SELECT count(*) FROM balance) AS accounts,
       (SELECT coalesce(sum(amount_micros), 0)::bigint FROM posting WHERE book = 'revenue') AS revenue_micros,
       (SELECT coalesce(sum(held_micros), 0)::bigint FROM balance) AS held_micros

-- name: record_act
INSERT INTO audit_entry (actor, account_id, test, action, target, data, address, request_id)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8)
