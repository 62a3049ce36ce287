-- Signing in by a provider: whose accounts are whose, what waits for a callback, and what waits on the way home.

CREATE TABLE identity (
    tenant_id      uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    id             uuid   NOT NULL,
    provider       text   COLLATE "C" NOT NULL,
    subject_key    bytea  NOT NULL,
    member_id      uuid   NOT NULL,
    account_sealed bytea,
    created_at_ms  bigint NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, provider, subject_key),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id)
);
CREATE INDEX identity_by_member ON identity (tenant_id, member_id);
SELECT freehold_protect('identity');

CREATE TABLE oauth_state (
    tenant_id      uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    state_hash     bytea  NOT NULL,
    provider       text   COLLATE "C" NOT NULL,
    secrets_sealed bytea  NOT NULL,
    browser_hash   bytea  NOT NULL,
    family_id      uuid,
    expires_at_ms  bigint NOT NULL,
    PRIMARY KEY (tenant_id, state_hash)
);
CREATE INDEX oauth_state_by_expiry ON oauth_state (tenant_id, expires_at_ms);
SELECT freehold_protect('oauth_state');

CREATE TABLE oauth_handoff (
    tenant_id      uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    code_hash      bytea  NOT NULL,
    provider       text   COLLATE "C" NOT NULL,
    profile_sealed bytea  NOT NULL,
    browser_hash   bytea  NOT NULL,
    family_id      uuid,
    expires_at_ms  bigint NOT NULL,
    PRIMARY KEY (tenant_id, code_hash)
);
CREATE INDEX oauth_handoff_by_expiry ON oauth_handoff (tenant_id, expires_at_ms);
SELECT freehold_protect('oauth_handoff');
