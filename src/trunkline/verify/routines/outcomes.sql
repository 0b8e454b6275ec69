-- What became of verifications, counted by the reader of the outbox: each event once, however late.
CREATE OR REPLACE FUNCTION count_verifications(p_events event[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO verify_outcome AS so_far
        (account_id, test, day, country, prefix, profile, template, route, sender, what, bucket, count, micros)
    SELECT one.account_id, one.test, (fresh.created_at AT TIME ZONE 'UTC')::date, country, prefix, profile,
           coalesce(template, ''), coalesce(last.carrier, ''), coalesce(last.sender, ''), split_part(fresh.type, '.', 2),
           CASE WHEN fresh.type IN ('verification.delivered', 'verification.approved') AND last.submitted_at IS NOT NULL
                THEN text_seconds_bucket(extract(epoch FROM fresh.created_at - last.submitted_at)::double precision)
                ELSE -1::smallint END,
           count(*), sum(CASE WHEN fresh.type = 'verification.' || charge THEN cost_micros ELSE 0 END)
      FROM unnest(p_events) AS fresh
      JOIN verification AS one ON one.verification_id = substr(fresh.data ->> 'verification_id', 5)::bigint
      LEFT JOIN LATERAL (SELECT carrier, sender, submitted_at FROM verification_send AS sending
                          WHERE sending.verification_id = one.verification_id ORDER BY send_id DESC LIMIT 1) AS last ON true
     WHERE fresh.type LIKE 'verification.%' AND fresh.endpoint_id IS NULL
     GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ON CONFLICT (account_id, test, day, country, prefix, profile, template, route, sender, what, bucket)
    DO UPDATE SET count = so_far.count + excluded.count, micros = so_far.micros + excluded.micros
$$;
