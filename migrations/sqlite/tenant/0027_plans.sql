-- What a tenant buys of the platform, and where it is paid out: its customer and its account at Stripe, each made once.

ALTER TABLE stripe_subscription ADD COLUMN period_start_ms INTEGER;

CREATE TABLE stripe_made (
    kind    TEXT NOT NULL PRIMARY KEY,
    attempt BLOB NOT NULL,
    id      TEXT
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 27;
