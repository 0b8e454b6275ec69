-- Accounts that are sold to: what the operator and the customer set. NULL: the setting of default.toml counts.

ALTER TABLE account
    ADD COLUMN account_per_minute  integer CHECK (account_per_minute BETWEEN 1 AND 10000000),  -- by all keys together
    ADD COLUMN burst               integer CHECK (burst BETWEEN 1 AND 10000000),  -- requests at one instant
    ADD COLUMN frozen_at           timestamptz,
    ADD COLUMN frozen_reason       text,
    ADD COLUMN max_active          integer CHECK (max_active >= 0),  -- this one and the next three: on real carriers
    ADD COLUMN purchases_per_hour  integer CHECK (purchases_per_hour >= 0),
    ADD COLUMN cancels_per_hour    integer CHECK (cancels_per_hour >= 0),
    ADD COLUMN success_floor       numeric(4, 3) CHECK (success_floor BETWEEN 0 AND 1),
    ADD COLUMN retention_days      smallint CHECK (retention_days BETWEEN 0 AND 30),
    ADD COLUMN low_balance_micros  bigint CHECK (low_balance_micros >= 0),
    ADD COLUMN cap_day_micros      bigint CHECK (cap_day_micros >= 0),
    ADD COLUMN cap_month_micros    bigint CHECK (cap_month_micros >= 0),
    ADD CONSTRAINT account_frozen CHECK ((frozen_at IS NULL) = (frozen_reason IS NULL));

ALTER TABLE api_key
    ADD COLUMN cidrs             cidr[] NOT NULL DEFAULT '{}',  -- empty: from anywhere
    ADD COLUMN last_used_at      timestamptz,
    ADD COLUMN rotated_from      bigint REFERENCES api_key,
    ADD COLUMN cap_day_micros    bigint CHECK (cap_day_micros >= 0),
    ADD COLUMN cap_month_micros  bigint CHECK (cap_month_micros >= 0);

-- Money from outside ---------------------------------------------------------------------------------------------------

CREATE TYPE deposit_state AS ENUM ('pending', 'paid', 'expired');

CREATE TABLE deposit (
    deposit_id     bigint GENERATED ALWAYS AS IDENTITY (START WITH 1001) PRIMARY KEY,
    account_id     bigint NOT NULL REFERENCES account,
    amount_micros  bigint NOT NULL CHECK (amount_micros > 0),
    currency       text NOT NULL,
    state          deposit_state NOT NULL DEFAULT 'pending',
    provider       text NOT NULL,
    provider_ref   text,  -- the Checkout session; NULL: not known to be open
    checkout_url   text,
    idempotency_key text,  -- of the request that began it
    created_at     timestamptz NOT NULL DEFAULT now(),
    paid_at        timestamptz,
    CONSTRAINT deposit_paid CHECK ((paid_at IS NOT NULL) = (state = 'paid')),
    UNIQUE (provider, provider_ref)
);
CREATE INDEX deposit_account ON deposit (account_id, deposit_id);

ALTER TABLE transfer ADD COLUMN deposit_id bigint REFERENCES deposit;
CREATE UNIQUE INDEX transfer_deposit ON transfer (deposit_id) WHERE deposit_id IS NOT NULL;  -- however often it is told
ALTER TABLE transfer ADD CONSTRAINT transfer_deposit_is_credit CHECK (deposit_id IS NULL OR kind = 'credit');

-- Cheaper with volume: what a lease costs less, by the verifications that were completed in the calendar month.
CREATE TABLE price_tier (
    from_completed  integer PRIMARY KEY CHECK (from_completed > 0),
    percent_off     numeric(5, 2) NOT NULL CHECK (percent_off > 0 AND percent_off <= 100)
);

-- What was used, kept by the statements that move the money, so that it agrees with the books to the micro: each lease
-- in the row of its key, of its service, of its country and of each of its labels. It counts on the day (UTC) of its
-- purchase. Caps and price tiers read the rows of the keys.
CREATE TABLE usage (
    account_id  bigint NOT NULL,
    test        boolean NOT NULL,
    dimension   text NOT NULL CHECK (dimension IN ('key', 'service', 'country') OR dimension LIKE 'label.%'),
    day         date NOT NULL,
    value       text NOT NULL,  -- the id of a key or service, a country's code, a label's value
    leases      integer NOT NULL DEFAULT 0,
    received    integer NOT NULL DEFAULT 0,  -- leases that got a text
    cancelled   integer NOT NULL DEFAULT 0,
    expired     integer NOT NULL DEFAULT 0,
    micros      bigint NOT NULL DEFAULT 0,  -- held, captured or kept as a fee
    PRIMARY KEY (account_id, test, dimension, day, value)
) WITH (fillfactor = 70);

-- A change of what was used, on its way there.
CREATE TYPE used AS (
    account_id bigint, test boolean, key_id bigint, service_id integer, country text, day date, labels jsonb,
    leases integer, received integer, cancelled integer, expired integer, micros bigint);

-- Leases from before keep no key. What they were is counted once, here.
INSERT INTO usage (account_id, test, dimension, day, value, leases, received, cancelled, expired, micros)
SELECT account_id, test, part.dimension, (created_at AT TIME ZONE 'UTC')::date, part.value, count(*),
       count(*) FILTER (WHERE revision > 0), count(*) FILTER (WHERE state = 'cancelled'),
       count(*) FILTER (WHERE state = 'expired'), sum(cost_micros - refund_micros)
  FROM activation,
       LATERAL (SELECT * FROM (VALUES ('key', '0'), ('service', service_id::text), ('country', country)) AS own (dimension, value)
                UNION ALL
                SELECT 'label.' || key, value FROM jsonb_each_text(labels)) AS part
 GROUP BY 1, 2, 3, 4, 5;

-- Audit ----------------------------------------------------------------------------------------------------------------

-- An act, written in its own transaction without waiting for any other. ``data`` names what changed and holds no secret.
CREATE TABLE audit_entry (
    entry_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor       text NOT NULL,  -- "operator:NAME", "key:ID", "stripe", "system"
    account_id  bigint,  -- whose it is; NULL: the operator's alone
    test        boolean NOT NULL DEFAULT false,
    action      text NOT NULL,  -- "key.created"
    target      text NOT NULL,
    data        jsonb NOT NULL DEFAULT '{}',
    address     text,  -- where the request came from
    request_id  text
);
CREATE INDEX audit_entry_account ON audit_entry (account_id, test, entry_id);

-- The acts that have no link yet, written with each act. Whatever the order in which acts commit, what is here to be
-- seen has been committed, and what has not been linked is here.
CREATE TABLE audit_pending (
    entry_id  bigint PRIMARY KEY
);

-- The chain over the acts, made by one sequencer at a time: each link's hash covers its act and the hash before it.
CREATE TABLE audit_link (
    position  bigint PRIMARY KEY CHECK (position > 0),
    entry_id  bigint NOT NULL UNIQUE,
    hash      bytea NOT NULL CHECK (length(hash) = 32)
);

-- The end of the chain, signed with a key that the database does not have.
CREATE TABLE audit_head (
    single     boolean PRIMARY KEY DEFAULT true CHECK (single),
    position   bigint NOT NULL,
    hash       bytea NOT NULL,
    signed_at  timestamptz NOT NULL,
    signature  bytea NOT NULL
);

-- Responsible use ------------------------------------------------------------------------------------------------------

-- A customer's proof that a service is their own; with it they may lease numbers on real carriers for it.
CREATE TABLE service_control (
    account_id  bigint NOT NULL REFERENCES account,
    service_id  integer NOT NULL REFERENCES service,
    domain      text NOT NULL,
    method      text NOT NULL CHECK (method IN ('dns', 'file')),
    token       text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    proved_at   timestamptz,
    PRIMARY KEY (account_id, service_id)
);

-- A number that the operator has taken off the shelf at once. Nobody leases it, and its texts are nobody's.
CREATE TABLE frozen_number (
    number_id  bigint PRIMARY KEY,
    reason     text NOT NULL,
    frozen_at  timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE activation
    ADD COLUMN key_id       bigint NOT NULL DEFAULT 0,
    ADD COLUMN day          date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,  -- on which its use is counted
    ADD COLUMN retain_days  smallint NOT NULL DEFAULT 1,  -- how long its texts are kept after its end
    ADD COLUMN erase_after  timestamptz;  -- when its texts are due to be erased; NULL: not ended, or none, or done
UPDATE activation SET day = (created_at AT TIME ZONE 'UTC')::date,
                      erase_after = CASE WHEN revision > 0 AND ended_at IS NOT NULL THEN ended_at + interval '1 day' END;
CREATE INDEX activation_erase ON activation (erase_after) WHERE erase_after IS NOT NULL;
-- The leases that count against caps: on carriers other than the simulated one, and of services not the customer's own.
ALTER TABLE activation ADD COLUMN capped boolean NOT NULL DEFAULT false;
CREATE INDEX activation_capped ON activation (account_id, created_at) WHERE capped;

-- Retention ------------------------------------------------------------------------------------------------------------

-- Texts are kept under the key of a day (of their lease's purchase; of their arrival where they are nobody's) and of the
-- days for which they are kept. A key is thrown away when all of its texts are due to be erased: a copy of the database
-- that is made later cannot be read even in its remains.
CREATE TABLE text_key (
    key_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day     date NOT NULL,
    days    smallint NOT NULL,
    key     bytea CHECK (length(key) = 32),  -- NULL: thrown away; the row stays until the table's file is written anew
    UNIQUE (day, days)
);

ALTER TABLE message
    ADD COLUMN key_id  bigint,
    ADD COLUMN sealed  bytea,  -- body and code under that key; NULL: erased, or from before there were keys
    ALTER COLUMN body DROP NOT NULL,
    ADD COLUMN erase_after timestamptz;  -- of a text that is nobody's; a lessee's goes with the lease
UPDATE message SET erase_after = received_at + interval '1 day' WHERE activation_id IS NULL;
ALTER TABLE assembly_part ADD COLUMN key_id bigint;  -- its payload is sealed; NULL: from before there were keys
-- Answers that hold texts are not recorded any more: repeating the request makes them again.
UPDATE idempotent_answer SET answer = '' WHERE position('"full_text":'::bytea IN answer) > 0;
DROP FUNCTION IF EXISTS purchase(bigint, boolean, text, text, bigint, text, integer, text, text, jsonb, boolean, bigint,
                                 text[], integer[], integer[]);
DROP FUNCTION IF EXISTS finish(bigint, boolean, bigint, activation_state);
DROP FUNCTION IF EXISTS receive(bigint[], bigint[], text[], text[], text[], text[], text[], text[], bytea[]);
DROP FUNCTION IF EXISTS assemble(text, text, text, integer, smallint, smallint, text, bytea);
CREATE INDEX message_erase ON message (erase_after) WHERE erase_after IS NOT NULL;

-- The test mode's magic services: texts that the simulated network sends of itself.
CREATE TABLE simulated_text (
    simulated_text_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    due_at             timestamptz NOT NULL,
    activation_id      bigint NOT NULL,
    recipient          text NOT NULL,
    sender             text NOT NULL,
    body               text NOT NULL
);
CREATE INDEX simulated_text_due ON simulated_text (due_at);
ALTER TABLE service ADD COLUMN magic boolean NOT NULL DEFAULT false;
