-- One row a tenant, which whoever takes an admin away holds: of two who would take the last two, one sees the other.

CREATE TABLE roster (
    tenant_id uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    version   bigint NOT NULL,
    PRIMARY KEY (tenant_id)
);
SELECT freehold_protect('roster');
