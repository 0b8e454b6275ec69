CREATE OR REPLACE TRIGGER audit_entry_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER audit_link_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_link
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- An act waits for its place in the chain from the moment it is committed, in no matter what order acts are.
CREATE OR REPLACE FUNCTION await_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_pending (entry_id) SELECT entry_id FROM written;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER audit_entry_awaits_link AFTER INSERT ON audit_entry
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION await_link();

-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE audit_entry IS
    'An act: who did what to what, written in the transaction in which it happened.';
COMMENT ON TABLE audit_pending IS
    'Acts without a link yet.';
COMMENT ON TABLE audit_link IS
    'The hash chain over the acts: each link covers its act and the link before.';
COMMENT ON TABLE audit_head IS
    'The end of the chain, signed with a key that the database does not have.';
