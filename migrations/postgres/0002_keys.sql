-- Sealed root keys, in a schema of their own: whoever copies a tenant's rows does not copy its key.

CREATE SCHEMA keys;
GRANT USAGE ON SCHEMA keys TO freehold_app;

CREATE TABLE keys.root_key (
    tenant        uuid   NOT NULL,
    version       bigint NOT NULL,
    master_key_id text   COLLATE "C" NOT NULL,
    sealed        bytea  NOT NULL,
    created_at_ms bigint NOT NULL,
    PRIMARY KEY (tenant, version)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON keys.root_key TO freehold_app;

-- A known value sealed by each master key: a wrong master key is noticed at start.
CREATE TABLE keys.master_check (
    key_id text  COLLATE "C" PRIMARY KEY,
    sealed bytea NOT NULL
);
GRANT SELECT, INSERT ON keys.master_check TO freehold_app;
