-- Invitations that were not accepted yet, one an address.

CREATE TABLE invitation (
    id            BLOB    NOT NULL PRIMARY KEY,
    email_key     BLOB    NOT NULL UNIQUE,
    email_sealed  BLOB    NOT NULL,
    role          TEXT    NOT NULL,
    token_hash    BLOB    NOT NULL UNIQUE,
    invited_by    BLOB    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invitation_by_expiry ON invitation (expires_at_ms);

PRAGMA user_version = 10;
