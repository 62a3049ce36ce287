-- Certificates by ACME: accounts at authorities and certificates' private keys, sealed; who orders for which host, and
-- since when in vain; what is answered to an authority that asks.

CREATE TABLE acme_account (
    directory     TEXT    NOT NULL PRIMARY KEY,
    master_key_id TEXT    NOT NULL,
    sealed        BLOB    NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE acme_certificate (
    host          TEXT    NOT NULL PRIMARY KEY,
    chain         TEXT    NOT NULL,
    master_key_id TEXT    NOT NULL,
    key_sealed    BLOB    NOT NULL,
    not_before_ms INTEGER NOT NULL,
    not_after_ms  INTEGER NOT NULL,
    issued_at_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX acme_certificate_by_end ON acme_certificate (not_after_ms);

CREATE TABLE acme_order (
    host            TEXT    NOT NULL PRIMARY KEY,
    holder          BLOB,
    leased_until_ms INTEGER NOT NULL,
    failures        INTEGER NOT NULL,
    next_try_at_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE acme_challenge (
    token             TEXT    NOT NULL PRIMARY KEY,
    host              TEXT    NOT NULL,
    key_authorization TEXT    NOT NULL,
    expires_at_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 20;
