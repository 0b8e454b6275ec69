-- Verify: codes that customers send to their own users, and the texts that carry them.

-- An app's settings, by the name that its requests use.
CREATE TABLE verify_profile (
    profile_id  bigint GENERATED ALWAYS AS IDENTITY (START WITH 1001) PRIMARY KEY,
    account_id  bigint NOT NULL REFERENCES account,
    test        boolean NOT NULL,
    slug        text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9_-]{0,39}$'),
    settings    jsonb NOT NULL,
    approved_text  text,  -- own words with a link in them, as the operator has approved them
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, test, slug)
);

CREATE TYPE verification_state AS ENUM ('pending', 'approved', 'failed', 'expired', 'cancelled', 'blocked');

-- The id is drawn before the row is written: the mac covers it.
CREATE SEQUENCE verification_number START WITH 20000001;

-- No foreign keys, as with leases: each would lock a row that all of an account's requests share.
CREATE TABLE verification (
    verification_id  bigint PRIMARY KEY,
    account_id       bigint NOT NULL,
    key_id           bigint NOT NULL,
    test             boolean NOT NULL,
    profile          text NOT NULL,
    e164             text NOT NULL CHECK (e164 ~ '^\+[1-9][0-9]{6,14}$'),
    country          text NOT NULL,
    prefix           text NOT NULL,  -- the number less its last four digits
    address          cidr,  -- of the app's user: an IPv4 address, or the /64 of an IPv6 one
    state            verification_state NOT NULL DEFAULT 'pending',
    mac              bytea CHECK (length(mac) = 32),  -- HMAC-SHA256 over verification, number, code and what is paid
    sealed           bytea,  -- the text with its code, under the server's key; both are erased at the end
    locale           text,
    template         text,
    digits           smallint,  -- the length of the code
    bound            boolean NOT NULL DEFAULT false,  -- to an amount and a payee
    checks_left      smallint NOT NULL CHECK (checks_left >= 0),
    sends_left       smallint NOT NULL CHECK (sends_left >= 0),
    failed           smallint NOT NULL DEFAULT 0,  -- checks that were wrong
    failed_at        timestamptz,
    charge           text NOT NULL CHECK (charge IN ('approved', 'sent')),
    cost_micros      bigint NOT NULL CHECK (cost_micros >= 0),  -- of an approval, or of each text
    held_micros      bigint NOT NULL DEFAULT 0,  -- in all; and what became of it
    captured_micros  bigint NOT NULL DEFAULT 0,
    released_micros  bigint NOT NULL DEFAULT 0,
    currency         text NOT NULL,
    metadata         jsonb,
    decisions        jsonb,  -- of the guard
    day              date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,  -- on which its use is counted
    created_at       timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL,
    resend_at        timestamptz NOT NULL,
    ended_at         timestamptz,
    CONSTRAINT verification_ends CHECK ((ended_at IS NOT NULL) = (state <> 'pending')),
    CONSTRAINT verification_secret CHECK (state = 'pending' OR (mac IS NULL AND sealed IS NULL)),
    CONSTRAINT verification_money CHECK (captured_micros + released_micros <= held_micros)
) WITH (fillfactor = 80);
CREATE INDEX verification_list ON verification (account_id, test, verification_id);
CREATE INDEX verification_due ON verification (expires_at) WHERE ended_at IS NULL;
CREATE INDEX verification_pending ON verification (account_id, test, e164, verification_id) WHERE ended_at IS NULL;
CREATE INDEX verification_failed ON verification (account_id, test, e164, failed_at) WHERE failed > 0;
CREATE INDEX verification_address ON verification (account_id, test, address, created_at) WHERE address IS NOT NULL;
CREATE INDEX verification_guarded ON verification (verification_id)
 WHERE decisions @? '$[*] ? (@.verdict == "blocked" || @.verdict == "shadow")';
CREATE INDEX verification_tested ON verification (ended_at) WHERE test AND ended_at IS NOT NULL;

-- queued → submitting → sent → delivered | undelivered; submitting → refused | unknown; queued → dropped.
CREATE TYPE send_state AS ENUM
    ('queued', 'submitting', 'sent', 'delivered', 'undelivered', 'unknown', 'refused', 'dropped');

-- The durable queue of texts to be sent, a row for each text and route. A claim moves it to submitting and counts
-- ``lease``, the fencing token: whoever dies with a claim leaves a text of which nobody knows whether it went out.
CREATE TABLE verification_send (
    send_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    verification_id  bigint NOT NULL,
    account_id       bigint NOT NULL,
    test             boolean NOT NULL,
    e164             text NOT NULL,
    number           smallint NOT NULL,  -- 1: of the start; more: of resends
    fallback_of      bigint,  -- the send in whose place it goes
    carrier          text NOT NULL,
    sender           text NOT NULL,
    others           jsonb NOT NULL DEFAULT '[]',  -- routes that are left: [{"carrier", "sender"}]
    segments         smallint NOT NULL,
    state            send_state NOT NULL DEFAULT 'queued',
    error            text,
    lease            integer NOT NULL DEFAULT 0,
    attempts         smallint NOT NULL DEFAULT 0,
    next_at          timestamptz NOT NULL DEFAULT now(),
    deadline         timestamptz NOT NULL,  -- after which it makes no sense any more
    created_at       timestamptz NOT NULL DEFAULT now(),
    submitted_at     timestamptz,
    sent_at          timestamptz,
    ended_at         timestamptz,
    CONSTRAINT verification_send_ends CHECK
        ((ended_at IS NOT NULL) = (state IN ('delivered', 'undelivered', 'refused', 'dropped')))
) WITH (fillfactor = 70);
CREATE INDEX verification_send_of ON verification_send (verification_id, send_id);
CREATE INDEX verification_send_number ON verification_send (account_id, test, e164, created_at) WHERE fallback_of IS NULL;
CREATE INDEX verification_send_due ON verification_send (carrier, next_at, send_id) WHERE state = 'queued';
CREATE UNIQUE INDEX verification_send_fallback ON verification_send (fallback_of) WHERE fallback_of IS NOT NULL;
CREATE INDEX verification_send_open ON verification_send (submitted_at) WHERE state IN ('submitting', 'sent', 'unknown');

-- What a carrier calls each part of a text that it took; and receipts that came before that was known.
CREATE TABLE verification_part (
    carrier  text NOT NULL,
    name     text NOT NULL,
    send_id  bigint NOT NULL,
    parts    smallint NOT NULL,  -- of the whole text
    state    text,  -- of its receipt
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (carrier, name)
);
CREATE INDEX verification_part_send ON verification_part (send_id);
CREATE INDEX verification_part_age ON verification_part (at);
CREATE TABLE early_receipt (
    carrier  text NOT NULL,
    name     text NOT NULL,
    names    text[] NOT NULL,
    state    text NOT NULL,
    error    text,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (carrier, name)
);
CREATE INDEX early_receipt_names ON early_receipt USING gin (names);
CREATE INDEX early_receipt_age ON early_receipt (at);

-- What the guard judges by: starts, ends and money, by the hour and by the day (UTC), of an account, of a profile, of a
-- country and of a prefix. ``busiest``: of a day's row, the most starts of one of its hours.
CREATE TABLE verify_traffic (
    account_id  bigint NOT NULL,
    test        boolean NOT NULL,
    dimension   text NOT NULL CHECK (dimension IN ('account', 'profile', 'country', 'prefix')),
    value       text NOT NULL,
    span        text NOT NULL CHECK (span IN ('hour', 'day')),
    began       timestamptz NOT NULL,
    starts      integer NOT NULL DEFAULT 0,
    blocked     integer NOT NULL DEFAULT 0,
    decided     integer NOT NULL DEFAULT 0,  -- approved, failed or expired
    approved    integer NOT NULL DEFAULT 0,
    micros      bigint NOT NULL DEFAULT 0,
    busiest     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, test, dimension, value, span, began)
) WITH (fillfactor = 70);
CREATE INDEX verify_traffic_age ON verify_traffic (span, began);

-- What became of verifications by day (UTC), counted by the reader of the outbox, each event once. ``bucket``: how long
-- after the submit it happened (``text_seconds_bucket``), of delivered and approved ones; -1 of all others.
CREATE TABLE verify_outcome (
    account_id  bigint NOT NULL,
    test        boolean NOT NULL,
    day         date NOT NULL,
    country     text NOT NULL,
    prefix      text NOT NULL,
    profile     text NOT NULL,
    template    text NOT NULL,
    route       text NOT NULL,
    sender      text NOT NULL,
    what        text NOT NULL,  -- started, sent, delivered, …: the event
    bucket      smallint NOT NULL,
    count       integer NOT NULL,
    micros      bigint NOT NULL,  -- what it cost
    PRIMARY KEY (account_id, test, day, country, prefix, profile, template, route, sender, what, bucket)
) WITH (fillfactor = 80);
CREATE INDEX verify_outcome_age ON verify_outcome (day);

-- A transfer is for a lease or for a verification; of one that is charged by the text, for one text.
ALTER TABLE transfer
    ADD COLUMN verification_id bigint,
    ADD COLUMN send_number smallint,
    DROP CONSTRAINT transfer_cause,
    ADD CONSTRAINT transfer_cause CHECK (num_nonnulls(activation_id, verification_id) = (kind <> 'credit')::integer),
    ADD CONSTRAINT transfer_of_a_text CHECK (send_number IS NULL OR verification_id IS NOT NULL);
CREATE UNIQUE INDEX transfer_verification_once ON transfer
    (verification_id, (coalesce(send_number, 0)), (CASE kind WHEN 'hold' THEN 1 ELSE 2 END))
 WHERE verification_id IS NOT NULL;

-- Functions of earlier versions, whose signatures changed before there was a rule for that (docs/upgrading.md).
DROP FUNCTION IF EXISTS stock_numbers(text, boolean, text[], text[], text[]);
DROP FUNCTION IF EXISTS take_fresh(integer, integer, integer, bigint);
DROP FUNCTION IF EXISTS pick_fresh(integer, integer, bigint);
DROP FUNCTION IF EXISTS capped_because(account, integer, integer, numeric);
DROP FUNCTION IF EXISTS contents_of(bigint, bigint, timestamptz);
