-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE activation IS
    'A lease. waiting → received → completed; waiting → cancelled or expired; received → completed at its deadline. revision counts its texts.';
COMMENT ON TABLE slot IS
    'A number that serves or has served a service, and when it may again: infinity while leased.';
COMMENT ON TABLE exhausted IS
    'A shelf without a number that never served a service, true for this count of its numbers.';
COMMENT ON TABLE message IS
    'A text that came in, sealed under a text_key. Without an activation it is the operator''s alone, and reason says why.';
COMMENT ON TABLE assembly IS
    'A long text whose parts are not all there.';
COMMENT ON TABLE assembly_part IS
    'A part of it, acknowledged to its carrier once it stands here.';
COMMENT ON TABLE finished_part IS
    'Parts of texts that are finished, kept for as long as carriers repeat them.';
COMMENT ON TABLE repeat_key IS
    'The keys of the fingerprints by which a carrier''s repetition is known, by day.';
COMMENT ON TABLE outcome_hour IS
    'How leases ended, each counted once, by hour; bucket is how long the text took, -1 where none came.';
COMMENT ON TABLE outcome_day IS
    'The same by day.';
