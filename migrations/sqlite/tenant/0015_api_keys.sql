-- API keys. Of each key's text there is only a hash; that of the text before the last rotation works for a while.

CREATE TABLE api_key (
    id                BLOB    NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL,
    kind              TEXT    NOT NULL,
    scopes            TEXT    NOT NULL,
    allowed_origins   TEXT    NOT NULL,
    last4             TEXT    NOT NULL,
    key_hash          BLOB    NOT NULL UNIQUE,
    previous_hash     BLOB,
    previous_until_ms INTEGER,
    created_at_ms     INTEGER NOT NULL,
    created_by        BLOB    NOT NULL,
    expires_at_ms     INTEGER,
    last_used_at_ms   INTEGER,
    revoked_at_ms     INTEGER
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 15;
