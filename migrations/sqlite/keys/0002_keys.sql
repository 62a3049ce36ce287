-- Sealed root keys, in a file of their own: whoever copies a tenant's file does not copy its key.

CREATE TABLE root_key (
    tenant        BLOB    NOT NULL,
    version       INTEGER NOT NULL,
    master_key_id TEXT    NOT NULL,
    sealed        BLOB    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, version)
) STRICT, WITHOUT ROWID;

-- A known value sealed by each master key: a wrong master key is noticed at start.
CREATE TABLE master_check (
    key_id TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 2;
