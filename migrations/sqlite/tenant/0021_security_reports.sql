-- What anybody told of weaknesses of this server: kept by the platform's own tenant.

CREATE TABLE security_report (
    id             BLOB    NOT NULL PRIMARY KEY,
    report_sealed  BLOB    NOT NULL,
    received_at_ms INTEGER NOT NULL,
    answered_at_ms INTEGER,
    answered_by    BLOB,
    note_sealed    BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX security_report_by_answer ON security_report (answered_at_ms);

PRAGMA user_version = 21;
