-- What a tenant has decided for itself, and the successor that a spent refresh token may still give for a short while.

CREATE TABLE setting (
    one     INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    body    TEXT    NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE spent_token ADD COLUMN successor_sealed BLOB;
ALTER TABLE spent_token ADD COLUMN reusable_until_ms INTEGER;
CREATE INDEX spent_token_by_reuse ON spent_token (reusable_until_ms) WHERE reusable_until_ms IS NOT NULL;

PRAGMA user_version = 8;
