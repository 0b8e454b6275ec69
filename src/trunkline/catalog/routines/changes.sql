CREATE OR REPLACE FUNCTION count_catalog_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE catalog_version SET version = version + 1, services = services + (TG_TABLE_NAME = 'service')::integer;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER service_changes AFTER INSERT OR UPDATE OR DELETE ON service
    FOR EACH STATEMENT EXECUTE FUNCTION count_catalog_change();
CREATE OR REPLACE TRIGGER price_changes AFTER INSERT OR UPDATE OR DELETE ON price_rule
    FOR EACH STATEMENT EXECUTE FUNCTION count_catalog_change();
CREATE OR REPLACE TRIGGER switch_changes AFTER INSERT OR UPDATE OR DELETE ON service_switch
    FOR EACH STATEMENT EXECUTE FUNCTION count_catalog_change();
CREATE OR REPLACE TRIGGER shelf_changes AFTER INSERT OR UPDATE OR DELETE ON shelf
    FOR EACH STATEMENT EXECUTE FUNCTION count_catalog_change();

-- The services of the test mode, which only test keys can lease. What they do stands in ``plan_test_texts`` and
-- ``purchase``. Here and not in a migration, so that a database gets one that is added later.
INSERT INTO service (slug, name, magic)
SELECT 'test_' || name, 'Test: ' || replace(name, '_', ' '), true
  FROM unnest(ARRAY['success', 'delayed', 'no_code', 'two_codes', 'timeout', 'no_numbers', 'insufficient_balance',
                    'rate_limited']) AS magic (name)
ON CONFLICT (slug) DO UPDATE SET name = excluded.name, magic = true;

-- A proof is of a domain: when the catalog says another one for the service, it proves nothing any more.
CREATE OR REPLACE FUNCTION end_proofs_of_other_domains() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM service_control USING written
     WHERE service_control.service_id = written.service_id AND service_control.domain IS DISTINCT FROM written.domain;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER service_moves AFTER UPDATE ON service
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION end_proofs_of_other_domains();
