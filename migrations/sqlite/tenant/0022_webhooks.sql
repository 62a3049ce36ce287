-- Webhooks of providers: what their deliveries are verified with, what was accepted and is kept, and what was refused.

CREATE TABLE webhook_source (
    source            TEXT    NOT NULL PRIMARY KEY,
    secret_sealed     BLOB    NOT NULL,
    set_at_ms         INTEGER NOT NULL,
    previous_sealed   BLOB,
    previous_until_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_delivery (
    id             BLOB    NOT NULL PRIMARY KEY,
    source         TEXT    NOT NULL,
    body_sealed    BLOB    NOT NULL,
    request_id     TEXT    NOT NULL,
    received_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_delivery_by_age ON webhook_delivery (received_at_ms);

CREATE TABLE webhook_event (
    id             BLOB    NOT NULL PRIMARY KEY,
    delivery_id    BLOB    NOT NULL REFERENCES webhook_delivery (id) ON DELETE CASCADE,
    provider       TEXT    NOT NULL,
    once_key       BLOB    NOT NULL,
    event_id       TEXT    NOT NULL,
    kind           TEXT    NOT NULL,
    account        TEXT,
    happened_at_ms INTEGER,
    number         INTEGER,
    received_at_ms INTEGER NOT NULL,
    repeated       INTEGER NOT NULL,
    UNIQUE (provider, once_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_event_by_delivery ON webhook_event (delivery_id);

CREATE TABLE webhook_refusal (
    provider         TEXT    NOT NULL,
    cause            TEXT    NOT NULL,
    detail           TEXT    NOT NULL,
    request_id       TEXT    NOT NULL,
    times            INTEGER NOT NULL,
    first_seen_at_ms INTEGER NOT NULL,
    last_seen_at_ms  INTEGER NOT NULL,
    PRIMARY KEY (provider, cause)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 22;
