-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE idempotent_answer IS
    'The first answer to a request with an Idempotency-Key, written in the transaction of its effect; kept for 72 hours.';
