-- The audit log: rows are added and never changed, each bound to those before it. The head is the end of the chain.

CREATE TABLE audit (
    tenant_id     uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    seq           bigint NOT NULL CHECK (seq > 0),
    id            uuid   NOT NULL,
    at_ms         bigint NOT NULL,
    action        text   COLLATE "C" NOT NULL,
    actor_kind    text   COLLATE "C" NOT NULL,
    actor         uuid,
    subject       uuid,
    detail_sealed bytea  NOT NULL,
    mac           bytea  NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);
SELECT freehold_protect('audit');
-- The runtime role adds and reads. Whoever protects this table again must take this away again.
REVOKE UPDATE, DELETE ON audit FROM freehold_app;

CREATE TABLE audit_head (
    tenant_id uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    seq       bigint NOT NULL,
    mac       bytea  NOT NULL,
    PRIMARY KEY (tenant_id)
);
SELECT freehold_protect('audit_head');
REVOKE DELETE ON audit_head FROM freehold_app;
