-- Token families, the refresh tokens they have spent, and the keys that sign access tokens.

CREATE TABLE token_family (
    id              BLOB    NOT NULL PRIMARY KEY,
    member_id       BLOB    NOT NULL REFERENCES member (id),
    generation      INTEGER NOT NULL,
    token_hash      BLOB    NOT NULL,
    client_sealed   BLOB    NOT NULL,
    created_at_ms   INTEGER NOT NULL,
    last_used_at_ms INTEGER NOT NULL,
    expires_at_ms   INTEGER NOT NULL,
    revoked_at_ms   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX token_family_by_member ON token_family (member_id, id);
CREATE INDEX token_family_by_expiry ON token_family (expires_at_ms);

CREATE TABLE spent_token (
    family_id     BLOB    NOT NULL REFERENCES token_family (id) ON DELETE CASCADE,
    token_hash    BLOB    NOT NULL,
    spent_at_ms   INTEGER NOT NULL,
    spent_by      BLOB    NOT NULL,
    held_until_ms INTEGER NOT NULL,
    PRIMARY KEY (family_id, token_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_key (
    id             BLOB    NOT NULL PRIMARY KEY,
    public_key     BLOB    NOT NULL,
    private_sealed BLOB    NOT NULL,
    created_at_ms  INTEGER NOT NULL,
    retired_at_ms  INTEGER
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 4;
