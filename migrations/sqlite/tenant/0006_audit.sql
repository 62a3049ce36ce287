-- The audit log: rows are added and never changed, each bound to those before it. The head is the end of the chain.

CREATE TABLE audit (
    seq           INTEGER NOT NULL PRIMARY KEY CHECK (seq > 0),
    id            BLOB    NOT NULL,
    at_ms         INTEGER NOT NULL,
    action        TEXT    NOT NULL,
    actor_kind    TEXT    NOT NULL,
    actor         BLOB,
    subject       BLOB,
    detail_sealed BLOB    NOT NULL,
    mac           BLOB    NOT NULL
) STRICT;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
-- INSERT OR REPLACE would delete without asking the trigger above.
CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TABLE audit_head (
    one INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    seq INTEGER NOT NULL,
    mac BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_head_is_not_set_back BEFORE UPDATE ON audit_head WHEN NEW.seq < OLD.seq
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_head_is_not_deleted BEFORE DELETE ON audit_head
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

PRAGMA user_version = 6;
