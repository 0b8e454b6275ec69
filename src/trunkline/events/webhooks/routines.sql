-- Deliveries: planned once for each endpoint that wants an event, claimed by time, recorded by whoever still holds them.

-- Whether an endpoint's list of types holds one: by name, by its group ("activation.*") or by "*".
CREATE OR REPLACE FUNCTION wants(p_types text[], p_type text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT p_type = ANY (p_types) OR '*' = ANY (p_types) OR split_part(p_type, '.', 1) || '.*' = ANY (p_types)
$$;

-- The endpoints that got something to send.
CREATE OR REPLACE FUNCTION plan_deliveries(p_events event[]) RETURNS bigint[] LANGUAGE sql AS $$
    WITH planned AS (
        INSERT INTO webhook_delivery (endpoint_id, account_id, event_id, event_at)
        SELECT hook.endpoint_id, hook.account_id, fresh.event_id, fresh.created_at
          FROM unnest(p_events) AS fresh JOIN webhook_endpoint AS hook USING (account_id, test)
         WHERE hook.disabled_at IS NULL AND hook.deleted_at IS NULL AND hook.created_at <= fresh.created_at
           AND CASE WHEN fresh.endpoint_id IS NULL THEN wants(hook.events, fresh.type)
                    ELSE fresh.endpoint_id = hook.endpoint_id END
         ORDER BY fresh.event_id
        ON CONFLICT (endpoint_id, event_id) DO NOTHING
        RETURNING endpoint_id
    )
    SELECT array_agg(DISTINCT endpoint_id) FROM planned
$$;

-- What came of attempts, for those whose claim still holds; the others write nothing. A failure that is not the last
-- (``p_again_in`` seconds later comes the next) leaves its delivery pending. Of the endpoints only what changes is
-- written: ``failing_since`` is the first failure since the last success, and a pause is longer for it or over.
-- Answers which endpoints are to be disabled: those that are gone, and those that have failed for too long.
CREATE OR REPLACE FUNCTION record_attempts(
    p_deliveries bigint[], p_leases integer[], p_succeeded boolean[], p_again_in double precision[],
    p_pauses double precision[], p_urls text[], p_ages_ms integer[], p_durations_ms integer[], p_statuses smallint[],
    p_reasons text[], p_addresses text[], p_answers bytea[], p_keys bigint[], p_disable_after double precision,
    OUT endpoint_id bigint, OUT gone boolean
) RETURNS SETOF record LANGUAGE sql AS $$
    WITH result AS MATERIALIZED (
        SELECT *, clock_timestamp() - make_interval(secs => age_ms / 1000.0) AS at
          FROM unnest(p_deliveries, p_leases, p_succeeded, p_again_in, p_pauses, p_urls, p_ages_ms, p_durations_ms,
                      p_statuses, p_reasons, p_addresses, p_answers, p_keys)
               WITH ORDINALITY AS given (delivery_id, lease, succeeded, again_in, pause, url, age_ms, duration_ms, status,
                                         reason, address, answer, key_id, place)
    ), recorded AS (
        UPDATE webhook_delivery AS delivery
           SET attempts = attempts + 1, lease = delivery.lease + 1,
               state = (CASE WHEN succeeded THEN 'delivered' WHEN again_in IS NULL THEN 'failed' ELSE 'pending' END)::delivery_state,
               next_at = CASE WHEN NOT succeeded AND again_in IS NOT NULL THEN now() + make_interval(secs => again_in) ELSE next_at END,
               ended_at = CASE WHEN succeeded OR again_in IS NULL THEN now() END
          FROM result
         WHERE delivery.delivery_id = result.delivery_id AND delivery.lease = result.lease AND state = 'pending'
        RETURNING delivery.endpoint_id, delivery.attempts, result.*
    ), written AS (
        INSERT INTO webhook_attempt (delivery_id, number, at, url, duration_ms, status, reason, address, answer, key_id)
        SELECT delivery_id, attempts, at, url, duration_ms, status, reason, address, answer, key_id FROM recorded
    ), verdict AS (
        SELECT endpoint_id, bool_or(succeeded) AS succeeded, max(pause) AS pause, bool_or(status IS NOT DISTINCT FROM 410) AS gone,
               min(at) FILTER (WHERE place > last_success) AS failing
          FROM (SELECT *, coalesce(max(place) FILTER (WHERE succeeded) OVER (PARTITION BY endpoint_id), 0) AS last_success
                  FROM recorded) AS each
         GROUP BY endpoint_id
    ), standing AS MATERIALIZED (  -- locked in one order, however many processes write
        SELECT hook.endpoint_id, verdict.gone, verdict.failing, hook.failing_since, hook.paused_until,
               CASE WHEN succeeded THEN verdict.failing ELSE coalesce(hook.failing_since, verdict.failing) END AS now_failing,
               CASE WHEN pause IS NOT NULL THEN greatest(hook.paused_until, now() + make_interval(secs => pause))
                    WHEN NOT succeeded OR hook.paused_until > now() THEN hook.paused_until END AS now_paused
          FROM verdict JOIN webhook_endpoint AS hook USING (endpoint_id)
         WHERE verdict.failing IS NOT NULL OR hook.failing_since IS NOT NULL OR hook.paused_until IS NOT NULL
         ORDER BY hook.endpoint_id FOR NO KEY UPDATE OF hook
    ), changed AS (
        UPDATE webhook_endpoint AS hook SET failing_since = now_failing, paused_until = now_paused
          FROM standing
         WHERE hook.endpoint_id = standing.endpoint_id
           AND (hook.failing_since, hook.paused_until) IS DISTINCT FROM (now_failing, now_paused)
    )
    SELECT endpoint_id, gone FROM standing
     WHERE gone OR failing IS NOT NULL AND now_failing <= now() - make_interval(secs => p_disable_after)
$$;

-- The endpoints for which anything waits, and when the first of that is due. From one to the next over
-- webhook_delivery_due: a step for each, however much waits there.
CREATE OR REPLACE FUNCTION endpoints_waited_for() RETURNS TABLE (endpoint_id bigint, next_at timestamptz)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE waiting AS (
        (SELECT endpoint_id, next_at FROM webhook_delivery WHERE state = 'pending' ORDER BY endpoint_id, next_at LIMIT 1)
        UNION ALL
        SELECT following.* FROM waiting CROSS JOIN LATERAL (
            SELECT endpoint_id, next_at FROM webhook_delivery
             WHERE state = 'pending' AND endpoint_id > waiting.endpoint_id ORDER BY endpoint_id, next_at LIMIT 1) AS following
    )
    SELECT endpoint_id, next_at FROM waiting
$$;

-- What waits for an endpoint that gets nothing more has failed, ``p_most`` at once; how many. Whoever is sending one loses
-- the claim, and writes nothing about it any more. It waits for nobody, so it may come after the lock of the endpoint: what
-- is being recorded at this moment is left to the worker, as is what was too much, or planned at the same time.
CREATE OR REPLACE FUNCTION fail_waiting(p_endpoint bigint, p_most integer) RETURNS bigint LANGUAGE sql AS $$
    WITH waiting AS MATERIALIZED (
        SELECT delivery_id FROM webhook_delivery WHERE endpoint_id = p_endpoint AND state = 'pending'
         ORDER BY next_at LIMIT p_most FOR UPDATE SKIP LOCKED
    ), failed AS (
        UPDATE webhook_delivery SET state = 'failed', ended_at = now(), lease = lease + 1
         WHERE delivery_id = ANY (ARRAY(SELECT delivery_id FROM waiting))  -- by their keys, however many there are
        RETURNING delivery_id
    )
    SELECT count(*) FROM failed
$$;

-- Disables an endpoint that is gone, or that has failed for ``p_after`` seconds (NULL: it is gone): it is paused for ever,
-- what waits for it has failed, and its account is told. False where it is disabled, deleted or well by now.
CREATE OR REPLACE FUNCTION disable_failing(p_endpoint bigint, p_reason text, p_after double precision) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    hook webhook_endpoint;
BEGIN
    UPDATE webhook_endpoint SET disabled_at = now(), disabled_reason = p_reason, paused_until = 'infinity'
     WHERE endpoint_id = p_endpoint AND disabled_at IS NULL AND deleted_at IS NULL
       AND (p_after IS NULL OR failing_since <= now() - make_interval(secs => p_after))
    RETURNING * INTO hook;
    IF hook.endpoint_id IS NULL THEN
        RETURN false;
    END IF;
    PERFORM fail_waiting(p_endpoint, 1000);
    INSERT INTO event (account_id, test, type, data)
    VALUES (hook.account_id, hook.test, 'webhook.disabled',
            jsonb_build_object('webhook_id', hook.endpoint_id::text, 'url', hook.url, 'reason', p_reason));
    RETURN true;
END $$;

-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE webhook_endpoint IS
    'A customer''s URL and what it wants to hear; disabled by its owner, the operator, or by failing.';
COMMENT ON TABLE webhook_secret IS
    'What signs deliveries (HMAC-SHA256); several while one takes the place of another.';
COMMENT ON TABLE webhook_delivery IS
    'An event on its way to an endpoint. pending → delivered or failed; lease is the fencing token of who tries it.';
COMMENT ON TABLE webhook_attempt IS
    'One try of a delivery: what was answered, how long it took.';
