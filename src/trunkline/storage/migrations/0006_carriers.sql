-- Numbers by their last digits, for carriers that write a destination without its country.
CREATE INDEX number_ending ON number (right(e164, 6));
