-- API keys. Of each key's text there is only a hash; that of the text before the last rotation works for a while.

CREATE TABLE api_key (
    tenant_id         uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    id                uuid   NOT NULL,
    name              text   NOT NULL COLLATE "C",
    kind              text   NOT NULL COLLATE "C",
    scopes            text   NOT NULL COLLATE "C",
    allowed_origins   text   NOT NULL COLLATE "C",
    last4             text   NOT NULL COLLATE "C",
    key_hash          bytea  NOT NULL,
    previous_hash     bytea,
    previous_until_ms bigint,
    created_at_ms     bigint NOT NULL,
    created_by        uuid   NOT NULL,
    expires_at_ms     bigint,
    last_used_at_ms   bigint,
    revoked_at_ms     bigint,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, key_hash)
);
SELECT freehold_protect('api_key');
