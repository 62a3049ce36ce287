-- Certificates by ACME: accounts at authorities and certificates' private keys, sealed; who orders for which host, and
-- since when in vain; what is answered to an authority that asks.

CREATE TABLE keys.acme_account (
    directory     text   COLLATE "C" PRIMARY KEY,
    master_key_id text   COLLATE "C" NOT NULL,
    sealed        bytea  NOT NULL,
    created_at_ms bigint NOT NULL
);
GRANT SELECT, INSERT, DELETE ON keys.acme_account TO freehold_app;

CREATE TABLE keys.acme_certificate (
    host          text   COLLATE "C" PRIMARY KEY,
    chain         text   COLLATE "C" NOT NULL,
    master_key_id text   COLLATE "C" NOT NULL,
    key_sealed    bytea  NOT NULL,
    not_before_ms bigint NOT NULL,
    not_after_ms  bigint NOT NULL,
    issued_at_ms  bigint NOT NULL
);
CREATE INDEX acme_certificate_by_end ON keys.acme_certificate (not_after_ms);
GRANT SELECT, INSERT, DELETE ON keys.acme_certificate TO freehold_app;

CREATE TABLE keys.acme_order (
    host            text   COLLATE "C" PRIMARY KEY,
    holder          uuid,
    leased_until_ms bigint NOT NULL,
    failures        bigint NOT NULL,
    next_try_at_ms  bigint NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON keys.acme_order TO freehold_app;

CREATE TABLE keys.acme_challenge (
    token             text   COLLATE "C" PRIMARY KEY,
    host              text   COLLATE "C" NOT NULL,
    key_authorization text   COLLATE "C" NOT NULL,
    expires_at_ms     bigint NOT NULL
);
GRANT SELECT, INSERT, DELETE ON keys.acme_challenge TO freehold_app;
