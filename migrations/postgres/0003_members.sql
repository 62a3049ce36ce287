-- Members, the failures counted against accounts, and the tenant's own rate limits.

CREATE TABLE member (
    tenant_id          uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    id                 uuid   NOT NULL,
    email_key          bytea  NOT NULL,
    email_sealed       bytea  NOT NULL,
    name_sealed        bytea  NOT NULL,
    password_hash      text   COLLATE "C",
    role               text   COLLATE "C" NOT NULL,
    credential_version bigint NOT NULL,
    epoch              bigint NOT NULL,
    created_at_ms      bigint NOT NULL,
    deactivated_at_ms  bigint,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, email_key)
);
SELECT freehold_protect('member');

CREATE TABLE lockout (
    tenant_id       uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    account         bytea  NOT NULL,
    failures        bigint NOT NULL,
    locked_until_ms bigint,
    version         bigint NOT NULL,
    updated_at_ms   bigint NOT NULL,
    PRIMARY KEY (tenant_id, account)
);
CREATE INDEX lockout_by_age ON lockout (tenant_id, updated_at_ms);
SELECT freehold_protect('lockout');

CREATE TABLE rate_limit (
    tenant_id uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    tier      text   COLLATE "C" NOT NULL,
    burst     bigint NOT NULL,
    period_ms bigint NOT NULL,
    PRIMARY KEY (tenant_id, tier)
);
SELECT freehold_protect('rate_limit');
