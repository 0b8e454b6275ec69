-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE component IS
    'A part of the platform as the public status shows it, and since when it is so.';
COMMENT ON TABLE component_day IS
    'For how long of a day a component was seen up and down.';
COMMENT ON TABLE incident IS
    'What went wrong, opened by a health check or by the operator.';
COMMENT ON TABLE incident_update IS
    'What was said about it.';
