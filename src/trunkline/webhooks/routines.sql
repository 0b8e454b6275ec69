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
