-- Signing in by a provider: whose accounts are whose, what waits for a callback, and what waits on the way home.

CREATE TABLE identity (
    id             BLOB    NOT NULL PRIMARY KEY,
    provider       TEXT    NOT NULL,
    subject_key    BLOB    NOT NULL,
    member_id      BLOB    NOT NULL REFERENCES member (id),
    account_sealed BLOB,
    created_at_ms  INTEGER NOT NULL,
    UNIQUE (provider, subject_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_by_member ON identity (member_id);

CREATE TABLE oauth_state (
    state_hash     BLOB    NOT NULL PRIMARY KEY,
    provider       TEXT    NOT NULL,
    secrets_sealed BLOB    NOT NULL,
    browser_hash   BLOB    NOT NULL,
    family_id      BLOB,
    expires_at_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_state_by_expiry ON oauth_state (expires_at_ms);

CREATE TABLE oauth_handoff (
    code_hash      BLOB    NOT NULL PRIMARY KEY,
    provider       TEXT    NOT NULL,
    profile_sealed BLOB    NOT NULL,
    browser_hash   BLOB    NOT NULL,
    family_id      BLOB,
    expires_at_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_handoff_by_expiry ON oauth_handoff (expires_at_ms);

PRAGMA user_version = 16;
