-- Custom domains: who claims which, and to whom each leads; and sign-ins at a provider that come home to one.

CREATE TABLE custom_domain (
    tenant           uuid    NOT NULL,
    domain           text    COLLATE "C" NOT NULL,
    challenge        text    COLLATE "C" NOT NULL,
    claimed_at_ms    bigint  NOT NULL,
    attached_at_ms   bigint,
    looked_at_ms     bigint,
    failing_since_ms bigint,
    look_at_ms       bigint,
    hsts_subdomains  bigint  NOT NULL,
    PRIMARY KEY (tenant, domain)
);
CREATE UNIQUE INDEX custom_domain_attached ON custom_domain (domain) WHERE attached_at_ms IS NOT NULL;
CREATE INDEX custom_domain_due ON custom_domain (look_at_ms) WHERE look_at_ms IS NOT NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON custom_domain TO freehold_app;

ALTER TABLE oauth_state ADD COLUMN home text COLLATE "C";
SELECT freehold_protect('oauth_state');
