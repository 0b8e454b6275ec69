-- Services change rarely and cost most to read again, so their changes are also counted apart.
ALTER TABLE catalog_version ADD COLUMN services bigint NOT NULL DEFAULT 1;

-- A lease for a service that its buyer had proved to be theirs. One that counts against no cap (NOT capped) is shown only
-- texts that name the service or come from its senders.
ALTER TABLE activation ADD COLUMN proved boolean NOT NULL DEFAULT false;
