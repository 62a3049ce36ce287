-- Tokens that were sent by mail, one for each purpose and subject. Where there is no account a row stands all the same.

CREATE TABLE one_time_token (
    token_hash         BLOB    NOT NULL PRIMARY KEY,
    purpose            TEXT    NOT NULL,
    subject            BLOB    NOT NULL,
    member_id          BLOB    REFERENCES member (id) ON DELETE CASCADE,
    credential_version INTEGER NOT NULL,
    pending_sealed     BLOB,
    expires_at_ms      INTEGER NOT NULL,
    UNIQUE (purpose, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX one_time_token_by_expiry ON one_time_token (expires_at_ms);
CREATE INDEX one_time_token_by_member ON one_time_token (member_id) WHERE member_id IS NOT NULL;

PRAGMA user_version = 12;
