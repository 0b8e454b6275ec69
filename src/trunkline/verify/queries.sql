-- name: profile
SELECT * FROM verify_profile WHERE account_id = :account AND test = :test AND slug = :slug

-- name: profiles
SELECT * FROM verify_profile WHERE account_id = :account AND test = :test AND profile_id < :before ORDER BY profile_id DESC LIMIT :limit

-- name: hold_profiles
SELECT pg_advisory_xact_lock(:account::bigint # 8246746800000000)

-- name: count_profiles
SELECT count(*) FROM verify_profile WHERE account_id = :account AND test = :test

-- name: make_profile
INSERT INTO verify_profile (account_id, test, slug, settings) VALUES (:account, :test, :slug, :settings::text::jsonb)
ON CONFLICT (account_id, test, slug) DO NOTHING RETURNING *

-- name: put_profile
INSERT INTO verify_profile (account_id, test, slug, settings) VALUES (:account, :test, :slug, :settings::text::jsonb)
ON CONFLICT (account_id, test, slug) DO UPDATE SET settings = excluded.settings, updated_at = now() RETURNING *

-- name: delete_profile
DELETE FROM verify_profile WHERE account_id = :account AND test = :test AND slug = :slug RETURNING *

-- name: approve_text
UPDATE verify_profile SET approved_text = settings ->> 'text', updated_at = now()
 WHERE account_id = :account AND test = :test AND slug = :slug AND settings ->> 'text' IS NOT NULL RETURNING *

-- name: facts
-- What a start is judged by, with the settings of its profile. The rest is read under the lock of the account's balance.
SELECT * FROM verification_facts(:account, :key, :test, :profile, :e164, :country, :prefix, :address::cidr, :micros,
                                 :address_seconds)

-- name: start
SELECT * FROM start_verification(
    :verification, :account, :key, :test, :profile, :e164, :country, :prefix, :address::cidr, :blocked, :mac, :sealed, :locale,
    :template, :digits::smallint, :bound, :checks::smallint, :sends::smallint, :charge, :cost, :currency,
    :metadata::text::jsonb, :decisions::text::jsonb, :ttl, :resend, :send, :carrier, :sender, :others::text::jsonb,
    :segments::smallint)

-- name: identity
-- What the mac of a check covers: none of it ever changes.
SELECT verification_id, e164, bound, digits FROM verification
 WHERE verification_id = :verification AND account_id = :account AND test = :test

-- name: newest_pending
SELECT verification_id, e164, bound, digits FROM verification
 WHERE account_id = :account AND test = :test AND e164 = :e164 AND ended_at IS NULL
   AND (:profile::text IS NULL OR profile = :profile)
 ORDER BY verification_id DESC LIMIT 1

-- name: check
SELECT problem, retry_at, (one).* FROM check_verification(:account, :test, :verification, :mac, :most_failed)

-- name: resend
SELECT problem, retry_at, rule, recent, threshold, available_micros, (one).*
  FROM resend_verification(:account, :test, :verification, :pauses::integer[], :in_ten_minutes, :in_a_day)

-- name: cancel
SELECT problem, (one).* FROM cancel_verification(:account, :test, :verification)

-- name: one
SELECT * FROM verification WHERE verification_id = :verification AND account_id = :account AND test = :test

-- name: sends_of
SELECT * FROM verification_send WHERE verification_id = :verification ORDER BY send_id

-- name: page
SELECT * FROM verification
 WHERE account_id = :account AND test = :test AND verification_id < :before
   AND (:state::verification_state IS NULL OR state = :state) AND (:profile::text IS NULL OR profile = :profile)
   AND (:country::text IS NULL OR country = :country) AND (:e164::text IS NULL OR e164 = :e164)
   AND (:metadata::text IS NULL OR metadata @> :metadata::text::jsonb)
 ORDER BY verification_id DESC LIMIT :limit

-- name: expire
SELECT expire_verifications(:limit)

-- name: claim
SELECT * FROM claim_sends(:carriers, :limit)

-- name: put_back
SELECT put_back_sends(:sends, :leases, :seconds)

-- name: record
SELECT record_sends(:sends, :leases, :states::text[]::send_state[], :errors, :names::text[]::jsonb[])

-- name: receipts
SELECT take_receipts(:carriers, :names::text[]::jsonb[], :states, :errors)

-- name: look_after
SELECT look_after_sends(:claim_seconds, :route_seconds, :limit)

-- name: next_due
SELECT min(next_at) <= now() FROM verification_send WHERE state = 'queued' AND carrier = ANY (:carriers::text[])

-- name: trim_parts
WITH gone AS (DELETE FROM verification_part WHERE at < now() - interval '4 days' RETURNING 1) SELECT count(*) FROM gone

-- name: trim_receipts
WITH gone AS (DELETE FROM early_receipt WHERE at < now() - interval '1 day' RETURNING 1) SELECT count(*) FROM gone

-- name: trim_traffic
WITH gone AS (
    DELETE FROM verify_traffic
     WHERE span = 'hour' AND began < now() - interval '26 hours' OR span = 'day' AND began < now() - interval '35 days' RETURNING 1)
SELECT count(*) FROM gone

-- name: count_starts
SELECT count(*) FROM verification
 WHERE (:account::bigint IS NULL OR account_id = :account) AND NOT test AND created_at > now() - :days::integer * interval '1 day'

-- name: past_starts
-- Ids are drawn in the order of starts, but for those of different accounts at the same moment.
SELECT verification_id, account_id, test, profile, country, prefix, cost_micros, captured_micros, state,
       extract(epoch FROM created_at)::double precision AS at, extract(epoch FROM ended_at)::double precision AS ended
  FROM verification
 WHERE (:account::bigint IS NULL OR account_id = :account) AND NOT test
   AND created_at > now() - :days::integer * interval '1 day' AND verification_id > :after
 ORDER BY verification_id LIMIT :limit

-- name: guarded
SELECT * FROM verification
 WHERE (:account::bigint IS NULL OR account_id = :account) AND decisions IS NOT NULL
   AND decisions @? '$[*] ? (@.verdict == "blocked" || @.verdict == "shadow")'
 ORDER BY verification_id DESC LIMIT :limit

-- name: outcomes
-- What became of verifications in these days, in groups by one column, with histograms of how long it took.
SELECT grouped."group", account.currency,
       coalesce(sum(count) FILTER (WHERE what = 'started'), 0)::bigint AS started,
       coalesce(sum(count) FILTER (WHERE what = 'sent'), 0)::bigint AS sent,
       coalesce(sum(count) FILTER (WHERE what = 'delivered'), 0)::bigint AS delivered,
       coalesce(sum(count) FILTER (WHERE what = 'undelivered'), 0)::bigint AS undelivered,
       coalesce(sum(count) FILTER (WHERE what = 'approved'), 0)::bigint AS approved,
       coalesce(sum(count) FILTER (WHERE what = 'failed'), 0)::bigint AS failed,
       coalesce(sum(count) FILTER (WHERE what = 'expired'), 0)::bigint AS expired,
       coalesce(sum(count) FILTER (WHERE what = 'cancelled'), 0)::bigint AS cancelled,
       coalesce(sum(count) FILTER (WHERE what = 'blocked'), 0)::bigint AS blocked,
       coalesce(sum(micros), 0)::bigint AS micros,
       jsonb_object_agg(bucket, count) FILTER (WHERE what = 'delivered') AS receipts,
       jsonb_object_agg(bucket, count) FILTER (WHERE what = 'approved') AS approvals
  FROM (SELECT CASE :by WHEN 'day' THEN day::text WHEN 'country' THEN country WHEN 'prefix' THEN prefix
                        WHEN 'route' THEN route WHEN 'sender' THEN sender WHEN 'template' THEN template
                        WHEN 'profile' THEN profile ELSE '' END AS "group",
               what, bucket, sum(count) AS count, sum(micros) AS micros
          FROM verify_outcome
         WHERE account_id = :account AND test = :test AND day BETWEEN :first AND :last
         GROUP BY 1, 2, 3) AS grouped,
       account
 WHERE account.account_id = :account
 GROUP BY grouped."group", account.currency
 ORDER BY CASE WHEN :by = 'day' THEN grouped."group" END, sum(count) DESC, grouped."group"
 LIMIT :limit

-- name: trim_outcomes
WITH gone AS (DELETE FROM verify_outcome WHERE day < now() - interval '400 days' RETURNING 1) SELECT count(*) FROM gone

-- name: forget_tested
-- Verifications of test keys that ended so long ago, with their texts.
WITH old AS (
    SELECT verification_id FROM verification
     WHERE test AND ended_at IS NOT NULL AND ended_at < now() - :days::integer * interval '1 day' ORDER BY ended_at LIMIT :limit
), texts AS (
    DELETE FROM verification_send USING old WHERE verification_send.verification_id = old.verification_id
), gone AS (
    DELETE FROM verification USING old WHERE verification.verification_id = old.verification_id RETURNING 1
)
SELECT count(*) FROM gone
