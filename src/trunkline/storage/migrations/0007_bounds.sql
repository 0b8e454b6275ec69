-- What one account can take of what all share: its test leases are counted and go in time, its labels are bounded, its
-- keys are bounded by the ones that they come from; and each credit names the act behind it.

-- A test account's leases that run, for its caps; and those that are due to go.
CREATE INDEX activation_testing ON activation (account_id, expires_at) INCLUDE (country, service_id)
 WHERE test AND ended_at IS NULL;
CREATE INDEX activation_tested ON activation (ended_at) WHERE test AND ended_at IS NOT NULL;

-- The labels of an account's day: a row for each name, and how many values of it have been told apart so far.
CREATE TABLE label_day (
    account_id  bigint NOT NULL,
    test        boolean NOT NULL,
    day         date NOT NULL,
    dimension   text NOT NULL CHECK (dimension LIKE 'label.%'),
    told_apart  integer NOT NULL DEFAULT 1,
    PRIMARY KEY (account_id, test, day, dimension)
) WITH (fillfactor = 70);
CREATE INDEX label_day_age ON label_day (day);
CREATE INDEX usage_labels ON usage (day) WHERE dimension LIKE 'label.%' AND value <> 'other';
CREATE INDEX usage_tested ON usage (day) WHERE test;

-- Keys --------------------------------------------------------------------------------------------------------------

-- The key that made a key, and all that it comes from, by creation or by rotation: their caps bind it too.
ALTER TABLE api_key
    ADD COLUMN created_by  bigint REFERENCES api_key,
    ADD COLUMN elders      bigint[] NOT NULL DEFAULT '{}';
WITH RECURSIVE line AS (
    SELECT key_id, rotated_from AS elder FROM api_key WHERE rotated_from IS NOT NULL
    UNION ALL
    SELECT line.key_id, api_key.rotated_from FROM line JOIN api_key ON api_key.key_id = line.elder
     WHERE api_key.rotated_from IS NOT NULL
)
UPDATE api_key SET elders = came.elders
  FROM (SELECT key_id, array_agg(elder ORDER BY elder) AS elders FROM line GROUP BY key_id) AS came
 WHERE came.key_id = api_key.key_id;
CREATE INDEX api_key_made ON api_key (account_id, mode, created_at);
CREATE INDEX api_key_good ON api_key (account_id, mode, expires_at) WHERE revoked_at IS NULL;
DROP INDEX api_key_account;

-- Ledger ------------------------------------------------------------------------------------------------------------

-- The operator's act behind a credit that is no deposit. Credits from before have none: they are matched by amount.
ALTER TABLE transfer ADD COLUMN act_id bigint;
CREATE UNIQUE INDEX transfer_act ON transfer (act_id) WHERE act_id IS NOT NULL;
ALTER TABLE transfer ADD CONSTRAINT transfer_act_is_credit
    CHECK (act_id IS NULL OR kind = 'credit' AND deposit_id IS NULL);

-- The acts that put money onto balances: the operator's credits, and what an account began with.
CREATE VIEW credit_act AS
    SELECT entry_id, act.account_id, coalesce(data ->> 'currency', balance.currency) AS currency,
           ((data -> field #>> '{}')::numeric * 1000000)::bigint AS amount_micros
      FROM (SELECT *, CASE action WHEN 'account.created' THEN 'credit' ELSE 'amount' END AS field
              FROM audit_entry WHERE action IN ('account.created', 'account.credited')) AS act
      LEFT JOIN balance USING (account_id)
     WHERE jsonb_typeof(data -> field) = 'number' AND (data -> field)::numeric > 0;

-- Credits from before there was an audit get their act now, once: from here on each has one.
WITH orphan AS (
    SELECT account_id, currency, amount_micros, transfer_id, created_at,
           row_number() OVER (PARTITION BY account_id, currency, amount_micros ORDER BY transfer_id) AS place
      FROM transfer WHERE kind = 'credit' AND deposit_id IS NULL
), act AS (
    SELECT account_id, currency, amount_micros,
           row_number() OVER (PARTITION BY account_id, currency, amount_micros ORDER BY entry_id) AS place
      FROM credit_act
)
INSERT INTO audit_entry (actor, account_id, action, target, data)
SELECT 'system', account_id, 'account.credited', 'account:' || account_id,
       jsonb_build_object('amount', trim_scale(amount_micros::numeric / 1000000), 'currency', currency, 'note',
                          format('transaction %s of %s, from before credits were audited', transfer_id,
                                 to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')))
  FROM orphan LEFT JOIN act USING (account_id, currency, amount_micros, place)
 WHERE act.account_id IS NULL
 ORDER BY transfer_id;
-- Where the trigger that lets acts await their link is not there yet.
INSERT INTO audit_pending (entry_id)
SELECT entry_id FROM audit_entry AS entry
 WHERE actor = 'system' AND action = 'account.credited'
   AND NOT EXISTS (SELECT FROM audit_link AS link WHERE link.entry_id = entry.entry_id)
ON CONFLICT DO NOTHING;
