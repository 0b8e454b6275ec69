-- What tells a carrier's repetition from the same words sent anew, kept for as long as carriers repeat.
CREATE TABLE repeat_key (
    day  date PRIMARY KEY,  -- the first of the days whose texts are known by it
    key  bytea CHECK (length(key) = 32)  -- NULL: thrown away; the row stays until the table's file is written anew
);
ALTER TABLE message
    ADD COLUMN session text,      -- of the link over which it came, where names are of a session; NULL: the carrier's own
    ADD COLUMN identity text,     -- what the carrier knows it by; NULL: it gives no name
    ADD COLUMN incomplete boolean NOT NULL DEFAULT false,  -- a long text of which parts were missing
    ADD COLUMN repeats integer NOT NULL DEFAULT 0,         -- how often it came again
    ADD COLUMN repeated_at timestamptz,
    ALTER COLUMN fingerprint DROP NOT NULL;  -- NULL: no carrier repeats it any more
DROP INDEX message_once;
CREATE INDEX message_known ON message (fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX message_forget ON message (received_at) WHERE fingerprint IS NOT NULL;
DROP INDEX message_nobodys;
CREATE INDEX message_nobodys ON message (message_id DESC) WHERE activation_id IS NULL OR repeats > 0;

-- Long texts whose parts are coming in. To one at most of a key something can be added.
ALTER TABLE assembly
    DROP CONSTRAINT assembly_carrier_sender_recipient_reference_total_key,
    ADD COLUMN kind text NOT NULL DEFAULT '',  -- of the reference: 8 bits, 16 bits, sar
    ADD COLUMN began_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN leases bigint[] NOT NULL DEFAULT '{}',  -- that were live on the number when it began
    ADD COLUMN closed boolean NOT NULL DEFAULT false,  -- what is there is all of it
    ADD COLUMN given_at timestamptz;  -- when what was there went where a text of it goes; what comes later completes it
UPDATE assembly SET began_at = touched_at, closed = true;
CREATE UNIQUE INDEX assembly_open ON assembly (carrier, sender, recipient, kind, reference, total) WHERE NOT closed;
CREATE INDEX assembly_waits ON assembly (recipient) WHERE given_at IS NULL;
ALTER TABLE assembly_part
    ADD COLUMN echo boolean NOT NULL DEFAULT false,     -- a text that was finished before has the same part
    ADD COLUMN echo_of bigint[] NOT NULL DEFAULT '{}',  -- those texts
    ADD COLUMN foreign_echo boolean NOT NULL DEFAULT false,  -- one that may have been somebody else's
    ADD COLUMN used boolean NOT NULL DEFAULT false,     -- an echo that was part of a whole text since
    ADD COLUMN telling boolean NOT NULL DEFAULT false,  -- it holds a digit, so perhaps a code
    ADD COLUMN fingerprint bytea,
    DROP CONSTRAINT assembly_part_pkey,
    ADD PRIMARY KEY (assembly_id, number, echo);

-- The parts of texts that are finished: one that comes again may be a repetition, and founds no text by itself.
CREATE TABLE finished_part (
    fingerprint  bytea NOT NULL,
    assembly_id  bigint NOT NULL,
    finished_at  timestamptz NOT NULL DEFAULT now(),
    erased       boolean NOT NULL DEFAULT false  -- the fingerprint is hashed with the secret
);
CREATE INDEX finished_part_known ON finished_part (fingerprint);
CREATE INDEX finished_part_forget ON finished_part (finished_at);

DROP FUNCTION IF EXISTS receive(bigint[], bigint[], text[], text[], text[], text[], bytea[], bytea[], bigint[], integer[]);
DROP FUNCTION IF EXISTS assemble(text, text, text, integer, smallint, smallint, text, bytea, bigint);
