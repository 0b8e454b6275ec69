-- Why a text went where it went is kept of every text, not only of those that nobody got.
ALTER TABLE message DROP CONSTRAINT message_owner;
ALTER TABLE message ADD CONSTRAINT message_owner CHECK ((activation_id IS NULL) = (revision IS NULL)
                                                    AND (activation_id IS NOT NULL OR reason IS NOT NULL));
CREATE INDEX message_nobodys ON message (message_id DESC) WHERE activation_id IS NULL;
