-- Numbers by their last digits, for carriers that write a destination without its country.
CREATE INDEX number_ending ON number (right(e164, 6));

-- A shelf's count of numbers goes down as well, now that they are moved and removed; its places only grow.
ALTER TABLE shelf ADD COLUMN places integer NOT NULL DEFAULT 0;
UPDATE shelf SET places = numbers,
       numbers = (SELECT count(*) FROM number LEFT JOIN frozen_number USING (number_id)
                   WHERE number.shelf_id = shelf.shelf_id AND frozen_number.number_id IS NULL);
ALTER TABLE exhausted RENAME COLUMN numbers TO places;

-- A retired number: nobody leases it any more, and the leases that run on it get their texts to the end.
ALTER TABLE frozen_number ADD COLUMN retired boolean NOT NULL DEFAULT false;

-- Who runs a carrier's link. ``epoch`` grows with each owner; ``seen_at`` says that this one lived; ``wanted_by`` is
-- who would take its place, and was there at ``wanted_at``.
CREATE TABLE carrier_owner (
    carrier   text PRIMARY KEY,
    epoch     bigint NOT NULL,
    owner     text NOT NULL,
    seen_at   timestamptz,  -- NULL: it has let go
    wanted_by text,
    wanted_at timestamptz
);
ALTER TABLE carrier_link DROP CONSTRAINT carrier_link_state_check;
ALTER TABLE carrier_link ADD CONSTRAINT carrier_link_state_check
    CHECK (state IN ('down', 'connecting', 'up', 'standby'));
