-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE account IS
    'A customer: currency, limits and the operator''s overrides of the caps.';
COMMENT ON TABLE api_key IS
    'An API key of an account and mode, as the SHA-256 of its secret; a rotated one names the one before it.';
COMMENT ON TABLE usage IS
    'What was used by day, key, service, country and label, exact to the ledger: written by what moves the money.';
COMMENT ON TABLE label_day IS
    'How many values of each label an account has told apart on a day; beyond the bound they count as other.';
