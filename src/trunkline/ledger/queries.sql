-- A transfer gets its id under its account's lock, as those of leases do: an account's ids are in the order of commit.
-- name: credit
INSERT INTO transfer (account_id, kind, debit, credit, amount_micros, currency, act_id)
SELECT account_id, 'credit', 'funding', 'available', :micros, currency, :act
  FROM (SELECT account_id, currency FROM balance WHERE account_id = :account FOR NO KEY UPDATE) AS own

-- name: balance
SELECT currency, available_micros, held_micros FROM balance WHERE account_id = :account

-- name: transfers
SELECT transfer_id, activation_id, deposit_id, verification_id, kind, change_of('available', debit, credit, amount_micros) AS micros,
       amount_micros, currency, created_at
  FROM transfer
 WHERE account_id = :account AND transfer_id < :before ORDER BY transfer_id DESC LIMIT :limit

-- name: completed_this_month
SELECT coalesce(sum(received), 0)::bigint FROM usage
 WHERE account_id = :account AND NOT test AND dimension = 'key' AND day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date

-- What the transfers before a time did to the balance, a page of them: up to where, and whether that is the end.

-- name: opening
WITH page AS (
    SELECT * FROM transfer WHERE account_id = :account AND transfer_id > :after ORDER BY transfer_id LIMIT :limit
), first AS (
    SELECT min(transfer_id) AS transfer_id FROM page WHERE created_at >= :since
)
SELECT coalesce(sum(change_of('available', debit, credit, amount_micros)), 0)::bigint AS micros,
       coalesce(max(page.transfer_id), :after) AS last, count(*) < :limit AS is_end
  FROM page, first WHERE first.transfer_id IS NULL OR page.transfer_id < first.transfer_id

-- A page of an account's transfers, with what each did to the balance that can be spent.

-- name: statement
SELECT transfer_id, transfer.created_at, kind, transfer.activation_id, deposit_id,
       coalesce(service.slug, CASE WHEN transfer.verification_id IS NOT NULL THEN 'verify' END) AS service,
       coalesce(activation.country, one.country) AS country, coalesce(activation.e164, one.e164) AS e164,
       change_of('available', debit, credit, amount_micros) AS micros,
       transfer.currency
  FROM transfer
  LEFT JOIN activation USING (activation_id)
  LEFT JOIN verification AS one ON one.verification_id = transfer.verification_id
  LEFT JOIN service USING (service_id)
 WHERE transfer.account_id = :account AND transfer_id > :after AND transfer_id <= :until ORDER BY transfer_id LIMIT :limit

-- name: last_transfer
SELECT coalesce(max(transfer_id), 0) FROM transfer WHERE account_id = :account

-- One deposit at a time begins for an account, so that a key that is sent twice at once begins one.

-- name: own_currency
SELECT currency FROM balance WHERE account_id = :account FOR NO KEY UPDATE

-- name: deposit_begun
SELECT * FROM deposit
 WHERE account_id = :account AND idempotency_key = :idempotency_key AND state <> 'expired' AND created_at > now() - interval '72 hours'
 ORDER BY deposit_id DESC LIMIT 1

-- name: begin_deposit
INSERT INTO deposit (account_id, amount_micros, currency, provider, idempotency_key) VALUES (:account, :micros, :currency, 'stripe', :idempotency_key)
RETURNING *

-- name: deposit_opened
UPDATE deposit SET provider_ref = :session, checkout_url = :url WHERE deposit_id = :deposit
RETURNING *

-- name: deposit_failed
UPDATE deposit SET state = 'expired' WHERE deposit_id = :deposit AND state = 'pending' AND provider_ref IS NULL

-- What a crash left behind before a session was known, and what was never heard of again (slow methods take two weeks).

-- name: expire_deposits
UPDATE deposit SET state = 'expired'
 WHERE state = 'pending' AND created_at < now() - CASE WHEN provider_ref IS NULL THEN interval '1 hour' ELSE interval '30 days' END

-- name: deposit_of_session
SELECT * FROM deposit WHERE provider = 'stripe' AND provider_ref = :session FOR NO KEY UPDATE

-- name: deposit_paid
WITH paid AS (
    UPDATE deposit SET state = 'paid', paid_at = now() WHERE deposit_id = :deposit RETURNING *
), credited AS (
    INSERT INTO transfer (account_id, kind, debit, credit, amount_micros, currency, deposit_id)
    SELECT account_id, 'credit', 'funding', 'available', amount_micros, currency, deposit_id
      FROM (SELECT paid.* FROM paid JOIN balance USING (account_id) FOR NO KEY UPDATE OF balance) AS own
)
INSERT INTO event (account_id, test, type, data)
SELECT account_id, false, 'deposit.paid',
       jsonb_build_object('deposit_id', deposit_id::text, 'amount_micros', amount_micros, 'currency', currency)
  FROM paid

-- name: deposit_expired
UPDATE deposit SET state = 'expired' WHERE deposit_id = :deposit

-- name: deposit
SELECT * FROM deposit WHERE deposit_id = :deposit AND account_id = :account

-- name: deposits
SELECT * FROM deposit WHERE account_id = :account AND deposit_id < :before ORDER BY deposit_id DESC LIMIT :limit

-- name: extent
SELECT coalesce((SELECT min(transfer_id) FROM transfer), 0) AS first_transfer,
       coalesce((SELECT max(transfer_id) FROM transfer), -1) AS last_transfer,
       coalesce(least((SELECT min(activation_id) FROM activation), (SELECT min(activation_id) FROM transfer)), 0) AS first_lease,
       coalesce(greatest((SELECT max(activation_id) FROM activation), (SELECT max(activation_id) FROM transfer)), -1) AS last_lease,
       coalesce(least((SELECT min(verification_id) FROM verification), (SELECT min(verification_id) FROM transfer)), 0) AS first_verification,
       coalesce(greatest((SELECT max(verification_id) FROM verification), (SELECT max(verification_id) FROM transfer)), -1) AS last_verification

-- What the transfers of a range of ids did to each book, by account.

-- name: moved
SELECT account_id, currency, count(*) AS transfers,
       sum(change_of('available', debit, credit, amount_micros))::bigint AS available,
       sum(change_of('held', debit, credit, amount_micros))::bigint AS held,
       sum(change_of('revenue', debit, credit, amount_micros))::bigint AS revenue,
       sum(change_of('funding', debit, credit, amount_micros))::bigint AS funding
  FROM transfer WHERE transfer_id BETWEEN :first AND :last GROUP BY account_id, currency

-- name: balances
SELECT account_id, currency, available_micros, held_micros FROM balance

-- The leases of a range of ids against their transfers: what each day's cost, and the first that are wrong.

-- name: leases
SELECT account_id, day, coalesce(sum(held - released) FILTER (WHERE NOT test), 0)::bigint AS micros,
       count(*) FILTER (WHERE revision > 0 AND NOT test) AS completed,
       jsonb_agg(jsonb_build_object(
           'activation_id', activation_id, 'account_id', account_id, 'state', state, 'cost_micros', cost_micros, 'held_micros', held,
           'captured_micros', captured, 'released_micros', released, 'fee_micros', fee)) FILTER (WHERE wrong) AS wrong
  FROM (SELECT activation_id, coalesce(lease.account_id, moved.account_id) AS account_id, test, day, state, revision, cost_micros,
               coalesce(held, 0) AS held, coalesce(captured, 0) AS captured, coalesce(released, 0) AS released, coalesce(fee, 0) AS fee,
               coalesce(held, 0) IS DISTINCT FROM cost_micros
               OR coalesce(captured, 0) <> CASE WHEN revision > 0 THEN cost_micros ELSE 0 END
               OR coalesce(released, 0) <> CASE WHEN state IN ('cancelled', 'expired') THEN cost_micros - fee_micros ELSE 0 END
               OR coalesce(fee, 0) <> CASE WHEN state IN ('cancelled', 'expired') THEN fee_micros ELSE 0 END
               OR refund_micros <> coalesce(released, 0)
               OR test AND moved.activation_id IS NOT NULL
               OR moved.account_id <> lease.account_id OR moved.last_account <> lease.account_id
               OR moved.currency <> lease.currency OR moved.last_currency <> lease.currency AS wrong
          FROM (SELECT * FROM activation WHERE activation_id BETWEEN :first AND :last) AS lease
          FULL JOIN (SELECT activation_id, min(account_id) AS account_id, max(account_id) AS last_account,
                            min(currency) AS currency, max(currency) AS last_currency,
                            sum(amount_micros) FILTER (WHERE kind = 'hold') AS held,
                            sum(amount_micros) FILTER (WHERE kind = 'capture') AS captured,
                            sum(amount_micros) FILTER (WHERE kind = 'release') AS released,
                            sum(amount_micros) FILTER (WHERE kind = 'fee') AS fee
                       FROM transfer WHERE activation_id BETWEEN :first AND :last GROUP BY activation_id) AS moved USING (activation_id)
       ) AS seen
 WHERE NOT coalesce(test, false) OR wrong
 GROUP BY account_id, day

-- The verifications of a range of ids against their transfers, in the same way.

-- name: verifications
SELECT account_id, day, coalesce(sum(held - released) FILTER (WHERE NOT test), 0)::bigint AS micros, 0::bigint AS completed,
       jsonb_agg(jsonb_build_object(
           'verification_id', verification_id, 'account_id', account_id, 'state', state, 'cost_micros', cost_micros,
           'held_micros', held, 'captured_micros', captured, 'released_micros', released)) FILTER (WHERE wrong) AS wrong
  FROM (SELECT verification_id, coalesce(one.account_id, moved.account_id) AS account_id, test, day, state, cost_micros,
               coalesce(held, 0) AS held, coalesce(captured, 0) AS captured, coalesce(released, 0) AS released,
               one.verification_id IS NULL
               OR (coalesce(held, 0), coalesce(captured, 0), coalesce(released, 0))
                  IS DISTINCT FROM (held_micros, captured_micros, released_micros)
               OR charge = 'approved' AND (
                   held_micros <> CASE WHEN state = 'blocked' THEN 0 ELSE cost_micros END
                   OR captured_micros <> CASE WHEN state = 'approved' THEN cost_micros ELSE 0 END
                   OR released_micros <> CASE WHEN state IN ('failed', 'expired', 'cancelled') THEN cost_micros ELSE 0 END)
               OR test AND moved.account_id IS NOT NULL
               OR moved.account_id <> one.account_id OR moved.last_account <> one.account_id
               OR moved.currency <> one.currency OR moved.last_currency <> one.currency AS wrong
          FROM (SELECT * FROM verification WHERE verification_id BETWEEN :first AND :last) AS one
          FULL JOIN (SELECT verification_id, min(account_id) AS account_id, max(account_id) AS last_account,
                            min(currency) AS currency, max(currency) AS last_currency,
                            sum(amount_micros) FILTER (WHERE kind = 'hold') AS held,
                            sum(amount_micros) FILTER (WHERE kind = 'capture') AS captured,
                            sum(amount_micros) FILTER (WHERE kind = 'release') AS released
                       FROM transfer WHERE verification_id BETWEEN :first AND :last GROUP BY verification_id) AS moved
               USING (verification_id)
       ) AS seen
 WHERE NOT coalesce(test, false) OR wrong
 GROUP BY account_id, day

-- What caps, tiers and customers are told was used, by account and day; each lease is counted in three dimensions.

-- name: used
SELECT account_id, day, dimension, sum(micros)::bigint AS micros, sum(received)::bigint AS received
  FROM usage WHERE NOT test AND dimension IN ('key', 'service', 'country') GROUP BY account_id, day, dimension

-- Deposits against credits: each that is paid has one of its amount, and each credit of a deposit has that deposit.

-- name: wrong_deposits
SELECT deposit_id, deposit.account_id, state, deposit.amount_micros, deposit.currency,
       coalesce(credited.amount_micros, 0)::bigint AS credited_micros, coalesce(credits, 0) AS credits
  FROM deposit
  FULL JOIN (SELECT deposit_id, count(*) AS credits, sum(amount_micros)::bigint AS amount_micros,
                    min(account_id) AS account_id, min(currency) AS currency, bool_and(kind = 'credit') AS of_kind
               FROM transfer WHERE deposit_id IS NOT NULL GROUP BY deposit_id) AS credited USING (deposit_id)
 WHERE (state = 'paid') IS DISTINCT FROM (coalesce(credits, 0) = 1)
    OR state = 'paid' AND (deposit.amount_micros, deposit.account_id, deposit.currency, true)
                          IS DISTINCT FROM (credited.amount_micros, credited.account_id, credited.currency, of_kind)
 ORDER BY deposit_id LIMIT 100

-- Credits that are no deposits against the operator's acts, one to one: by the act that a credit names, and those from before
-- credits named one by account, currency and amount, in their order. What is left over on either side is wrong.

-- name: wrong_credits
WITH given AS (
    SELECT *, row_number() OVER (PARTITION BY pair ORDER BY transfer_id) AS place
      FROM transfer, LATERAL (SELECT coalesce('act ' || act_id, format('%s %s %s', account_id, currency, amount_micros)) AS pair) AS own
     WHERE kind = 'credit' AND deposit_id IS NULL
), act AS (
    SELECT *, row_number() OVER (PARTITION BY pair ORDER BY entry_id) AS place
      FROM credit_act,
           LATERAL (SELECT CASE WHEN EXISTS (SELECT FROM transfer WHERE act_id = entry_id) THEN 'act ' || entry_id
                                ELSE format('%s %s %s', account_id, currency, amount_micros) END AS pair) AS own
)
SELECT given.transfer_id, act.entry_id AS act_id, coalesce(given.account_id, act.account_id) AS account_id,
       coalesce(given.currency, act.currency) AS currency, coalesce(given.amount_micros, 0) AS credited_micros,
       coalesce(act.amount_micros, 0) AS audited_micros
  FROM given FULL JOIN act USING (pair, place)
 WHERE (given.account_id, given.currency, given.amount_micros) IS DISTINCT FROM (act.account_id, act.currency, act.amount_micros)
 ORDER BY given.transfer_id, act.entry_id LIMIT 100
