-- Webhooks to a tenant's own endpoints: where they go, what is told, and how each try went. And breakers that are not closed.

CREATE TABLE webhook_endpoint (
    id                BLOB    NOT NULL PRIMARY KEY,
    url               TEXT    NOT NULL,
    description       TEXT    NOT NULL,
    topics            TEXT    NOT NULL,
    profile           TEXT    NOT NULL,
    secret_sealed     BLOB    NOT NULL,
    previous_sealed   BLOB,
    previous_until_ms INTEGER,
    after_seq         INTEGER NOT NULL,
    failing_since_ms  INTEGER,
    disabled_at_ms    INTEGER,
    disabled_why      TEXT,
    created_at_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How far the audit log was looked through for what endpoints want.
CREATE TABLE webhook_cursor (
    one INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_message (
    endpoint_id    BLOB    NOT NULL REFERENCES webhook_endpoint (id) ON DELETE CASCADE,
    seq            INTEGER NOT NULL,
    kind           TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    tries          INTEGER NOT NULL,
    attempts       INTEGER NOT NULL,
    next_try_at_ms INTEGER NOT NULL,
    created_at_ms  INTEGER NOT NULL,
    PRIMARY KEY (endpoint_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_message_waiting ON webhook_message (endpoint_id, next_try_at_ms, seq) WHERE state = 'waiting';
CREATE INDEX webhook_message_by_age ON webhook_message (created_at_ms);

CREATE TABLE webhook_attempt (
    endpoint_id   BLOB    NOT NULL,
    seq           INTEGER NOT NULL,
    attempt       INTEGER NOT NULL,
    at_ms         INTEGER NOT NULL,
    took_ms       INTEGER NOT NULL,
    outcome       TEXT    NOT NULL,
    status        INTEGER,
    answer_sealed BLOB,
    PRIMARY KEY (endpoint_id, seq, attempt),
    FOREIGN KEY (endpoint_id, seq) REFERENCES webhook_message (endpoint_id, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE breaker (
    integration TEXT    NOT NULL PRIMARY KEY,
    until_ms    INTEGER NOT NULL,
    openings    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 25;
