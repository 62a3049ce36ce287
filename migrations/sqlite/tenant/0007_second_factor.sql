-- The second factor: authenticators, backup codes, and the challenges between the two steps of a sign-in.

CREATE TABLE totp (
    member_id       BLOB    NOT NULL PRIMARY KEY REFERENCES member (id),
    secret_sealed   BLOB    NOT NULL,
    confirmed_at_ms INTEGER,
    last_step       INTEGER NOT NULL,
    version         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE backup_code (
    member_id   BLOB    NOT NULL REFERENCES member (id),
    code_hash   BLOB    NOT NULL,
    spent_at_ms INTEGER,
    PRIMARY KEY (member_id, code_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE challenge (
    token_hash         BLOB    NOT NULL PRIMARY KEY,
    member_id          BLOB    NOT NULL REFERENCES member (id),
    credential_version INTEGER NOT NULL,
    answers            INTEGER NOT NULL,
    expires_at_ms      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX challenge_by_expiry ON challenge (expires_at_ms);

PRAGMA user_version = 7;
