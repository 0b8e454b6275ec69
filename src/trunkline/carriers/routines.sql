-- What the tables are, for whoever reads the database (psql: \d+).
COMMENT ON TABLE carrier_link IS
    'How each carrier''s link stood when the process that runs it last looked.';
COMMENT ON TABLE carrier_owner IS
    'Who runs a carrier''s link (leader election); epoch is the fencing token and grows with each owner.';
