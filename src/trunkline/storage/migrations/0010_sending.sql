-- Texts that are sent into the simulated network: their receipts, until they are told. A text sent again under the same
-- reference is the same text.
CREATE TABLE simulated_receipt (
    reference  text PRIMARY KEY,
    due_at     timestamptz NOT NULL,
    state      text,  -- NULL: nothing is told of it
    told_at    timestamptz
);
CREATE INDEX simulated_receipt_due ON simulated_receipt (due_at) WHERE told_at IS NULL;
CREATE INDEX simulated_receipt_age ON simulated_receipt (due_at);
