-- The second factor: authenticators, backup codes, and the challenges between the two steps of a sign-in.

CREATE TABLE totp (
    tenant_id       uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    member_id       uuid   NOT NULL,
    secret_sealed   bytea  NOT NULL,
    confirmed_at_ms bigint,
    last_step       bigint NOT NULL,
    version         bigint NOT NULL,
    PRIMARY KEY (tenant_id, member_id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id)
);
SELECT freehold_protect('totp');

CREATE TABLE backup_code (
    tenant_id   uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    member_id   uuid   NOT NULL,
    code_hash   bytea  NOT NULL,
    spent_at_ms bigint,
    PRIMARY KEY (tenant_id, member_id, code_hash),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id)
);
SELECT freehold_protect('backup_code');

CREATE TABLE challenge (
    tenant_id          uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    token_hash         bytea  NOT NULL,
    member_id          uuid   NOT NULL,
    credential_version bigint NOT NULL,
    answers            bigint NOT NULL,
    expires_at_ms      bigint NOT NULL,
    PRIMARY KEY (tenant_id, token_hash),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id)
);
CREATE INDEX challenge_by_expiry ON challenge (tenant_id, expires_at_ms);
SELECT freehold_protect('challenge');
