-- An account's own caps on leases by its test keys. NULL: the setting counts, as it does for the other caps.
ALTER TABLE account
    ADD COLUMN test_max_active         integer CHECK (test_max_active >= 0),
    ADD COLUMN test_max_any            integer CHECK (test_max_any >= 0),
    ADD COLUMN test_country_share      numeric(4, 3) CHECK (test_country_share BETWEEN 0 AND 1),
    ADD COLUMN test_purchases_per_day  integer CHECK (test_purchases_per_day >= 0);
