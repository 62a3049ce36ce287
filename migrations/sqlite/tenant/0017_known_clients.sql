-- From where members have signed in of late, under a keyed hash: whoever comes from elsewhere is told of by mail.

CREATE TABLE known_client (
    member_id       BLOB    NOT NULL REFERENCES member (id) ON DELETE CASCADE,
    client_key      BLOB    NOT NULL,
    last_seen_at_ms INTEGER NOT NULL,
    PRIMARY KEY (member_id, client_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_client_by_age ON known_client (last_seen_at_ms);

PRAGMA user_version = 17;
