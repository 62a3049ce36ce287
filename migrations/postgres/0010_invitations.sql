-- Invitations that were not accepted yet, one an address.

CREATE TABLE invitation (
    tenant_id     uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    id            uuid   NOT NULL,
    email_key     bytea  NOT NULL,
    email_sealed  bytea  NOT NULL,
    role          text   COLLATE "C" NOT NULL,
    token_hash    bytea  NOT NULL,
    invited_by    uuid   NOT NULL,
    created_at_ms bigint NOT NULL,
    expires_at_ms bigint NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, email_key),
    UNIQUE (tenant_id, token_hash)
);
CREATE INDEX invitation_by_expiry ON invitation (tenant_id, expires_at_ms);
SELECT freehold_protect('invitation');
