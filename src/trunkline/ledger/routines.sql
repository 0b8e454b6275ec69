-- A customer's balance is the sum of the transfers that touch it: kept here, in the same statement as the transfer,
-- one update for each account however many transfers a statement writes.
CREATE OR REPLACE FUNCTION keep_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE balance
       SET available_micros = balance.available_micros + moved.available,
           held_micros = balance.held_micros + moved.held
      FROM (SELECT account_id, currency,
                   coalesce(sum(amount_micros) FILTER (WHERE credit = 'available'), 0)
                       - coalesce(sum(amount_micros) FILTER (WHERE debit = 'available'), 0) AS available,
                   coalesce(sum(amount_micros) FILTER (WHERE credit = 'held'), 0)
                       - coalesce(sum(amount_micros) FILTER (WHERE debit = 'held'), 0) AS held
              FROM written GROUP BY account_id, currency) AS moved
     WHERE balance.account_id = moved.account_id AND balance.currency = moved.currency;
    IF (SELECT count(*) FROM (SELECT DISTINCT account_id, currency FROM written) AS w
         WHERE NOT EXISTS (SELECT FROM balance AS b WHERE b.account_id = w.account_id AND b.currency = w.currency)) > 0 THEN
        RAISE EXCEPTION 'a transfer names an account that has no balance in its currency';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER transfer_keeps_balance AFTER INSERT ON transfer
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION keep_balance();

-- What is written in the books stays: corrections are transfers of their own.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

CREATE OR REPLACE TRIGGER transfer_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

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
