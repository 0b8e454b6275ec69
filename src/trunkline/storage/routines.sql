-- What the role that serves may do, where it is another than the owner: read and write rows and call functions. It owns
-- nothing, so it changes no table, trigger or function, and what is append-only it only appends to. ``migrate`` calls this
-- after every change. Partitions are reached through their table.
CREATE OR REPLACE FUNCTION let_serve(p_role name) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema, p_role);
    FOR part IN SELECT oid::regclass AS name, relkind, relname FROM pg_class
                 WHERE relnamespace = current_schema::regnamespace AND relowner = current_user::regrole
                   AND relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT relispartition LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %I',
                       CASE part.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, part.name, p_role);
        EXECUTE format('GRANT %s %s TO %I',
                       CASE WHEN part.relkind = 'S' THEN 'USAGE, SELECT ON SEQUENCE'
                            WHEN part.relname = 'schema_version' THEN 'SELECT ON TABLE'
                            WHEN part.relname IN ('transfer', 'audit_entry', 'audit_link') THEN 'SELECT, INSERT ON TABLE'
                            ELSE 'SELECT, INSERT, UPDATE, DELETE ON TABLE' END, part.name, p_role);
    END LOOP;
    FOR part IN SELECT oid::regprocedure AS name FROM pg_proc
                 WHERE pronamespace = current_schema::regnamespace AND proowner = current_user::regrole LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', part.name, p_role);
    END LOOP;
    EXECUTE format('REVOKE EXECUTE ON FUNCTION let_serve(name) FROM PUBLIC, %I', p_role);
    -- What needs the owner: making and dropping the outbox's days, and writing the table of keys anew.
    EXECUTE format('ALTER FUNCTION keep_event_days(integer) SECURITY DEFINER SET search_path = %I, pg_temp', current_schema);
    EXECUTE format('GRANT MAINTAIN ON TABLE text_key TO %I', p_role);
END $$;

-- What is written in the books stays: corrections are transfers of their own.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

-- Which bucket a time falls into: each is 5 % wider than the one before, from one at 0 to 0.05 s on.
CREATE OR REPLACE FUNCTION text_seconds_bucket(p_seconds double precision) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT least(floor(ln(1 + greatest(p_seconds, 0)) / ln(1.05)), 250)::smallint
$$;

-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE schema_version IS
    'The scripts that were applied, and what they said.';
COMMENT ON TABLE text_key IS
    'A key for texts by day and days of retention; thrown away with them (crypto-shredding).';
