-- Services outside that a tenant lets the server call for it: what opens them, sealed, and when that is refreshed.

CREATE TABLE integration (
    name             TEXT    NOT NULL PRIMARY KEY,
    secret_sealed    BLOB    NOT NULL,
    refresh_sealed   BLOB,
    account          TEXT    NOT NULL,
    last4            TEXT    NOT NULL,
    set_at_ms        INTEGER NOT NULL,
    ends_at_ms       INTEGER,
    due_at_ms        INTEGER,
    claimed_until_ms INTEGER,
    expired_at_ms    INTEGER,
    version          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 26;
