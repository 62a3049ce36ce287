-- What acts on webhooks that were received: how far each event is, and what Stripe's events say of subscriptions and accounts.
-- Events of before wait: those that have no effect are found to have none.

ALTER TABLE webhook_event ADD COLUMN state TEXT NOT NULL DEFAULT 'waiting';
ALTER TABLE webhook_event ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE webhook_event ADD COLUMN next_try_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE webhook_event ADD COLUMN fault TEXT;
CREATE INDEX webhook_event_waiting ON webhook_event (next_try_at_ms, id) WHERE state = 'waiting';
CREATE INDEX webhook_event_parked ON webhook_event (id) WHERE state = 'parked';

CREATE TABLE stripe_subscription (
    account          TEXT    NOT NULL,
    id               TEXT    NOT NULL,
    customer         TEXT    NOT NULL,
    status           TEXT    NOT NULL,
    price            TEXT,
    period_end_ms    INTEGER,
    cancels_at_end   INTEGER NOT NULL,
    version_ended    INTEGER NOT NULL,
    version_at_ms    INTEGER NOT NULL,
    version_rank     INTEGER NOT NULL,
    version_event_id TEXT    NOT NULL,
    events           INTEGER NOT NULL,
    updated_at_ms    INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE stripe_account (
    account           TEXT    NOT NULL,
    id                TEXT    NOT NULL,
    charges_enabled   INTEGER NOT NULL,
    payouts_enabled   INTEGER NOT NULL,
    details_submitted INTEGER NOT NULL,
    version_at_ms     INTEGER NOT NULL,
    version_rank      INTEGER NOT NULL,
    version_event_id  TEXT    NOT NULL,
    events            INTEGER NOT NULL,
    updated_at_ms     INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 24;
