-- Push: the outbox by days, who is told, what became of it, and what the public may know of how texts arrive.

-- The outbox, a table for each day, so that what is old goes by dropping one (``keep_event_days``). What no day's table
-- holds lies in ``event_rest``, so that writing an event never fails for want of one. No identity column: partitioned
-- tables have them from PostgreSQL 17 on only.
CREATE SEQUENCE event_number;
SELECT setval('event_number', coalesce(max(event_id), 0) + 1, false) FROM event;
ALTER TABLE event RENAME TO event_before;
DROP INDEX event_activation;
CREATE TABLE event (
    event_id       bigint NOT NULL DEFAULT nextval('event_number'),
    xact           xid8 NOT NULL DEFAULT pg_current_xact_id(),
    horizon        pg_snapshot NOT NULL DEFAULT pg_current_snapshot(),  -- what it does not show may be told after this
    account_id     bigint NOT NULL,
    test           boolean NOT NULL,
    activation_id  bigint,
    endpoint_id    bigint,  -- the one webhook that it is for; NULL: all that want its type
    type           text NOT NULL,
    data           jsonb NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (created_at);
CREATE TABLE event_rest PARTITION OF event DEFAULT;
INSERT INTO event (event_id, xact, horizon, account_id, test, activation_id, type, data, created_at)
SELECT event_id, xact, format('%1$s:%1$s:', xact)::pg_snapshot, account_id, test, activation_id, type, data, created_at
  FROM event_before;
DROP TABLE event_before;
ALTER SEQUENCE event_number OWNED BY event.event_id;
CREATE INDEX event_tail ON event (xact, event_id);
CREATE INDEX event_account ON event (account_id, event_id);
CREATE INDEX event_activation ON event (activation_id, event_id) WHERE activation_id IS NOT NULL;

-- How far the durable reader of the outbox has come (docs/decisions/0015): every event of a transaction that was over in
-- ``seen`` has been taken. While a long way is made up for in steps, ``upto`` is its end and (last_xact, last_event) the
-- last step's.
CREATE TABLE tail_position (
    consumer    text PRIMARY KEY,
    seen        pg_snapshot NOT NULL,
    upto        pg_snapshot,
    last_xact   xid8 NOT NULL DEFAULT '0',
    last_event  bigint NOT NULL DEFAULT 0,
    most_event  bigint NOT NULL,  -- the greatest id taken
    moved_at    timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tail_position (consumer, seen, most_event)
SELECT 'fan_out', pg_current_snapshot(), coalesce(max(event_id), 0) FROM event;

-- Webhooks -------------------------------------------------------------------------------------------------------------

CREATE TABLE webhook_endpoint (
    endpoint_id      bigint GENERATED ALWAYS AS IDENTITY (START WITH 1001) PRIMARY KEY,
    account_id       bigint NOT NULL REFERENCES account,
    test             boolean NOT NULL,
    url              text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    events           text[] NOT NULL CHECK (cardinality(events) > 0),  -- types, "activation.*", "*"
    description      text NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL DEFAULT now(),
    disabled_at      timestamptz,
    disabled_reason  text,
    deleted_at       timestamptz,
    failing_since    timestamptz,  -- the first failure since the last success
    paused_until     timestamptz,  -- nothing is sent before: it asked for that, or it only fails
    CONSTRAINT webhook_endpoint_disabled CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);
CREATE INDEX webhook_endpoint_account ON webhook_endpoint (account_id, test, endpoint_id) WHERE deleted_at IS NULL;

-- What signs deliveries; several while one takes the place of another. It cannot be a hash: both sides need it.
CREATE TABLE webhook_secret (
    secret_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id  bigint NOT NULL REFERENCES webhook_endpoint,
    secret       bytea NOT NULL CHECK (length(secret) BETWEEN 24 AND 64),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz
);
CREATE INDEX webhook_secret_endpoint ON webhook_secret (endpoint_id);

-- The durable queue: an event on its way to an endpoint. A claim moves ``next_at`` ahead and counts ``lease``, the
-- fencing token: whoever dies with a claim loses it by time, and whoever comes back too late writes nothing.
CREATE TYPE delivery_state AS ENUM ('pending', 'delivered', 'failed');
CREATE TABLE webhook_delivery (
    delivery_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id  bigint NOT NULL,
    account_id   bigint NOT NULL,
    event_id     bigint NOT NULL,
    event_at     timestamptz NOT NULL,  -- the event's day, where its row is
    state        delivery_state NOT NULL DEFAULT 'pending',
    attempts     smallint NOT NULL DEFAULT 0,
    since        smallint NOT NULL DEFAULT 0,  -- attempts before the last replay: the schedule begins anew there
    lease        integer NOT NULL DEFAULT 0,
    next_at      timestamptz NOT NULL DEFAULT now(),
    created_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    UNIQUE (endpoint_id, event_id),
    CONSTRAINT webhook_delivery_ends CHECK ((ended_at IS NULL) = (state = 'pending'))
) WITH (fillfactor = 70);
CREATE INDEX webhook_delivery_due ON webhook_delivery (endpoint_id, next_at, delivery_id) WHERE state = 'pending';
CREATE INDEX webhook_delivery_failed ON webhook_delivery (endpoint_id, event_id) WHERE state = 'failed';

CREATE TABLE webhook_attempt (
    delivery_id   bigint NOT NULL,
    number        smallint NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    url           text NOT NULL,
    duration_ms   integer NOT NULL,
    status        smallint,  -- NULL: no answer
    reason        text,  -- why it failed, or what was odd about an answer that counts
    address       text,  -- that answered
    answer        bytea,  -- headers and the beginning of the body, sealed as texts are: a receiver may send one back
    key_id        bigint,
    PRIMARY KEY (delivery_id, number)
);
CREATE INDEX webhook_attempt_age ON webhook_attempt (at);

-- Statistics -----------------------------------------------------------------------------------------------------------

-- How leases ended, each counted once: when its first text came, or when it ended without one. ``bucket`` is how long
-- the text took (``text_seconds_bucket``); -1: none came.
CREATE TABLE outcome_hour (
    hour        timestamptz NOT NULL,
    test        boolean NOT NULL,
    country     text NOT NULL,
    service_id  integer NOT NULL,
    operator    text NOT NULL,
    carrier     text NOT NULL,
    bucket      smallint NOT NULL,
    leases      integer NOT NULL,
    PRIMARY KEY (hour, test, country, service_id, operator, carrier, bucket)
);
CREATE TABLE outcome_day (
    day         date NOT NULL,
    test        boolean NOT NULL,
    country     text NOT NULL,
    service_id  integer NOT NULL,
    operator    text NOT NULL,
    carrier     text NOT NULL,
    bucket      smallint NOT NULL,
    leases      integer NOT NULL,
    PRIMARY KEY (day, test, country, service_id, operator, carrier, bucket)
);

-- Status ---------------------------------------------------------------------------------------------------------------

CREATE TYPE component_state AS ENUM ('operational', 'degraded_performance', 'partial_outage', 'major_outage');

CREATE TABLE component (
    name        text PRIMARY KEY,  -- api, database, webhooks, carrier:NAME
    state       component_state NOT NULL,
    detail      text NOT NULL DEFAULT '',  -- for the operator; the public sees states alone
    since       timestamptz NOT NULL DEFAULT now(),
    turned_at   timestamptz NOT NULL DEFAULT now(),  -- since when it is out, or is not, whatever its state was within that
    checked_at  timestamptz NOT NULL DEFAULT now(),
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- For how long of a day (UTC) a component was seen up and down.
CREATE TABLE component_day (
    name          text NOT NULL,
    day           date NOT NULL,
    up_seconds    double precision NOT NULL DEFAULT 0,
    down_seconds  double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (name, day)
);

CREATE TABLE incident (
    incident_id  bigint GENERATED ALWAYS AS IDENTITY (START WITH 1001) PRIMARY KEY,
    title        text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    impact       text NOT NULL CHECK (impact IN ('none', 'minor', 'major', 'critical')),
    components   text[] NOT NULL,
    opened_by    text NOT NULL CHECK (opened_by IN ('operator', 'health')),
    opened_at    timestamptz NOT NULL DEFAULT now(),
    closed_at    timestamptz
);
-- Health checks open one incident for a component, however many processes look.
CREATE UNIQUE INDEX incident_health ON incident (components) WHERE opened_by = 'health' AND closed_at IS NULL;

CREATE TABLE incident_update (
    update_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id  bigint NOT NULL REFERENCES incident,
    state        text NOT NULL CHECK (state IN ('investigating', 'identified', 'monitoring', 'resolved')),
    body         text NOT NULL CHECK (length(body) BETWEEN 1 AND 4000),
    at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX incident_update_of ON incident_update (incident_id, update_id);
