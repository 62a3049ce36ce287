-- Token families, the refresh tokens they have spent, and the keys that sign access tokens.

CREATE TABLE token_family (
    tenant_id       uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    id              uuid   NOT NULL,
    member_id       uuid   NOT NULL,
    generation      bigint NOT NULL,
    token_hash      bytea  NOT NULL,
    client_sealed   bytea  NOT NULL,
    created_at_ms   bigint NOT NULL,
    last_used_at_ms bigint NOT NULL,
    expires_at_ms   bigint NOT NULL,
    revoked_at_ms   bigint,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id)
);
CREATE INDEX token_family_by_member ON token_family (tenant_id, member_id, id);
CREATE INDEX token_family_by_expiry ON token_family (tenant_id, expires_at_ms);
SELECT freehold_protect('token_family');

CREATE TABLE spent_token (
    tenant_id     uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    family_id     uuid   NOT NULL,
    token_hash    bytea  NOT NULL,
    spent_at_ms   bigint NOT NULL,
    spent_by      uuid   NOT NULL,
    held_until_ms bigint NOT NULL,
    PRIMARY KEY (tenant_id, family_id, token_hash),
    FOREIGN KEY (tenant_id, family_id) REFERENCES token_family (tenant_id, id) ON DELETE CASCADE
);
SELECT freehold_protect('spent_token');

CREATE TABLE signing_key (
    tenant_id      uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    id             uuid   NOT NULL,
    public_key     bytea  NOT NULL,
    private_sealed bytea  NOT NULL,
    created_at_ms  bigint NOT NULL,
    retired_at_ms  bigint,
    PRIMARY KEY (tenant_id, id)
);
SELECT freehold_protect('signing_key');
