-- Tokens that were sent by mail, one for each purpose and subject. Where there is no account a row stands all the same.

CREATE TABLE one_time_token (
    tenant_id          uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    token_hash         bytea  NOT NULL,
    purpose            text   COLLATE "C" NOT NULL,
    subject            bytea  NOT NULL,
    member_id          uuid,
    credential_version bigint NOT NULL,
    pending_sealed     bytea,
    expires_at_ms      bigint NOT NULL,
    PRIMARY KEY (tenant_id, token_hash),
    UNIQUE (tenant_id, purpose, subject),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX one_time_token_by_expiry ON one_time_token (tenant_id, expires_at_ms);
CREATE INDEX one_time_token_by_member ON one_time_token (tenant_id, member_id) WHERE member_id IS NOT NULL;
SELECT freehold_protect('one_time_token');
