-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE verify_profile IS
    'An app''s settings for the codes that it sends, by slug.';
COMMENT ON TABLE verification IS
    'A code sent to a phone number. pending → approved, failed, expired or cancelled; blocked by the guard from the start.';
COMMENT ON TABLE verification_send IS
    'The durable queue of MT texts: a row for each text and route, claimed with a lease.';
COMMENT ON TABLE verification_part IS
    'The carrier''s message id of each part that was submitted, by which its delivery receipt is matched.';
COMMENT ON TABLE early_receipt IS
    'Delivery receipts that came before the answer to their submit.';
COMMENT ON TABLE verify_outcome IS
    'What became of verifications by day, and how soon: counted by the durable reader of the outbox.';
COMMENT ON TABLE verify_traffic IS
    'Starts, ends and money by hour and day, of accounts, profiles, countries and prefixes: what the guard judges by.';
