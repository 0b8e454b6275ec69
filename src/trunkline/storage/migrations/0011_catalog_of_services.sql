-- Services change rarely and cost most to read again, so their changes are also counted apart.
ALTER TABLE catalog_version ADD COLUMN services bigint NOT NULL DEFAULT 1;
