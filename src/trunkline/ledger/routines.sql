-- What a transfer does to a book: the one place where it gets its sign.
CREATE OR REPLACE FUNCTION change_of(p_book book, p_debit book, p_credit book, p_micros bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE p_book WHEN p_credit THEN p_micros WHEN p_debit THEN -p_micros ELSE 0 END
$$;

-- A customer's balance is the sum of the transfers that touch it: kept here, in the same statement as the transfer,
-- one update for each account however many transfers a statement writes.
CREATE OR REPLACE FUNCTION keep_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE balance
       SET available_micros = balance.available_micros + moved.available,
           held_micros = balance.held_micros + moved.held
      FROM (SELECT account_id, currency,
                   sum(change_of('available', debit, credit, amount_micros)) AS available,
                   sum(change_of('held', debit, credit, amount_micros)) AS held
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

CREATE OR REPLACE TRIGGER transfer_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE transfer IS
    'Double entry, append-only: a row has both sides, so that none is unbalanced.';
COMMENT ON TABLE balance IS
    'What a customer can spend and what is held, kept by the trigger on transfer; the row to lock before spending.';
COMMENT ON TABLE deposit IS
    'A payment through Stripe. pending → paid or expired.';
