-- What a tenant has decided for itself, and the successor that a spent refresh token may still give for a short while.

CREATE TABLE setting (
    tenant_id uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    body      text   COLLATE "C" NOT NULL,
    version   bigint NOT NULL,
    PRIMARY KEY (tenant_id)
);
SELECT freehold_protect('setting');

ALTER TABLE spent_token ADD COLUMN successor_sealed bytea;
ALTER TABLE spent_token ADD COLUMN reusable_until_ms bigint;
CREATE INDEX spent_token_by_reuse ON spent_token (tenant_id, reusable_until_ms) WHERE reusable_until_ms IS NOT NULL;
SELECT freehold_protect('spent_token');
