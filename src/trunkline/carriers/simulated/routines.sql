-- The texts that the simulated network will send of itself to a lease of a magic service, with fresh codes.
CREATE OR REPLACE FUNCTION plan_test_texts(p_activation bigint, p_recipient text, p_service text) RETURNS void
LANGUAGE sql AS $$
    WITH fresh AS (
        SELECT code, (code + 1 + floor(random() * 999999)::integer) % 1000000 AS another
          FROM (SELECT floor(random() * 1000000)::integer AS code) AS drawn
    )
    INSERT INTO simulated_text (due_at, activation_id, recipient, sender, body)
    SELECT now() + after_seconds * interval '1 second', p_activation, p_recipient, 'TRUNKLINE', body
      FROM fresh,
           LATERAL (VALUES ('test_success', 0, format('Your Trunkline test code is %s.', lpad(code::text, 6, '0'))),
                           ('test_delayed', 5, format('Your Trunkline test code is %s.', lpad(code::text, 6, '0'))),
                           ('test_no_code', 0, 'This is a Trunkline test text without a code.'),
                           ('test_two_codes', 0, format('Your Trunkline test code is %s.', lpad(code::text, 6, '0'))),
                           ('test_two_codes', 1, format('Your Trunkline test code is %s.', lpad(another::text, 6, '0')))
                   ) AS text (service, after_seconds, body)
     WHERE service = p_service
     ORDER BY after_seconds
$$;

-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE simulated_receipt IS
    'The delivery receipt of a text that was sent into the simulated network, until it is told.';
COMMENT ON TABLE simulated_text IS
    'A text that the simulated network will send of itself to a lease of a magic service.';
