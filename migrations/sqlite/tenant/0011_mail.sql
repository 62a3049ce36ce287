-- Letters that wait to be sent, sealed as a whole. A row goes with its letter; one that was given up keeps no letter.

CREATE TABLE mail (
    id             BLOB    NOT NULL PRIMARY KEY,
    kind           TEXT    NOT NULL,
    letter_sealed  BLOB,
    created_at_ms  INTEGER NOT NULL,
    next_try_at_ms INTEGER NOT NULL,
    tries          INTEGER NOT NULL,
    given_up_at_ms INTEGER,
    CHECK ((letter_sealed IS NULL) = (given_up_at_ms IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_waiting ON mail (next_try_at_ms, id) WHERE given_up_at_ms IS NULL;
CREATE INDEX mail_given_up ON mail (given_up_at_ms) WHERE given_up_at_ms IS NOT NULL;

PRAGMA user_version = 11;
