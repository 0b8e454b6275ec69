-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE service IS
    'Who sends codes: slug, name, domain, senders and aliases.';
COMMENT ON TABLE price_rule IS
    'A price for a service, a country, both or neither; the most special one counts.';
COMMENT ON TABLE price_tier IS
    'What a lease costs less, by the leases of the month that got a text.';
COMMENT ON TABLE service_switch IS
    'Which third-party services the operator has opened on real carriers.';
COMMENT ON TABLE service_control IS
    'A customer''s proof that a service is their own.';
COMMENT ON TABLE shelf IS
    'Numbers of one carrier, country, operator and mode, in 64 stripes.';
COMMENT ON TABLE number IS
    'A number of the pool, at a place of its shelf''s stripe that only grows.';
COMMENT ON TABLE frozen_number IS
    'A number off the shelf: nobody leases it, and its texts are nobody''s.';
COMMENT ON TABLE catalog_version IS
    'Counts changes of catalog, prices, switches and shelves, so that a process knows when its copy is old.';
