-- What was changed and must be known to whoever loads this store later, written in the transaction that made it true.

CREATE TABLE change (
    seq     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind    TEXT    NOT NULL,
    subject BLOB    NOT NULL,
    value   INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX change_by_age ON change (at_ms, seq);

PRAGMA user_version = 5;
