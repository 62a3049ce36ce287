-- Members, the failures counted against accounts, and the tenant's own rate limits.

CREATE TABLE member (
    id                 BLOB    NOT NULL PRIMARY KEY,
    email_key          BLOB    NOT NULL UNIQUE,
    email_sealed       BLOB    NOT NULL,
    name_sealed        BLOB    NOT NULL,
    password_hash      TEXT,
    role               TEXT    NOT NULL,
    credential_version INTEGER NOT NULL,
    epoch              INTEGER NOT NULL,
    created_at_ms      INTEGER NOT NULL,
    deactivated_at_ms  INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE lockout (
    account         BLOB    NOT NULL PRIMARY KEY,
    failures        INTEGER NOT NULL,
    locked_until_ms INTEGER,
    version         INTEGER NOT NULL,
    updated_at_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX lockout_by_age ON lockout (updated_at_ms);

CREATE TABLE rate_limit (
    tier      TEXT    NOT NULL PRIMARY KEY,
    burst     INTEGER NOT NULL,
    period_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 3;
