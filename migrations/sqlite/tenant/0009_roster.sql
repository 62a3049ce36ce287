-- One row a tenant, which whoever takes an admin away holds: of two who would take the last two, one sees the other.

CREATE TABLE roster (
    one     INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 9;
