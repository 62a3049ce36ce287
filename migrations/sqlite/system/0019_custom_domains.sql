-- Custom domains: who claims which, and to whom each leads.

CREATE TABLE custom_domain (
    tenant           BLOB    NOT NULL,
    domain           TEXT    NOT NULL,
    challenge        TEXT    NOT NULL,
    claimed_at_ms    INTEGER NOT NULL,
    attached_at_ms   INTEGER,
    looked_at_ms     INTEGER,
    failing_since_ms INTEGER,
    look_at_ms       INTEGER,
    hsts_subdomains  INTEGER NOT NULL,
    PRIMARY KEY (tenant, domain)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX custom_domain_attached ON custom_domain (domain) WHERE attached_at_ms IS NOT NULL;
CREATE INDEX custom_domain_due ON custom_domain (look_at_ms) WHERE look_at_ms IS NOT NULL;

PRAGMA user_version = 19;
