-- What browsers reported of the tenant's pages, each sort once, with how often it came.

CREATE TABLE csp_report (
    id               BLOB    NOT NULL PRIMARY KEY,
    report_key       BLOB    NOT NULL UNIQUE,
    report_sealed    BLOB    NOT NULL,
    times            INTEGER NOT NULL,
    first_seen_at_ms INTEGER NOT NULL,
    last_seen_at_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX csp_report_by_age ON csp_report (last_seen_at_ms);

PRAGMA user_version = 18;
