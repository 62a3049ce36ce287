-- What anybody told of weaknesses of this server: kept by the platform's own tenant.

CREATE TABLE security_report (
    tenant_id      uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    id             uuid   NOT NULL,
    report_sealed  bytea  NOT NULL,
    received_at_ms bigint NOT NULL,
    answered_at_ms bigint,
    answered_by    uuid,
    note_sealed    bytea,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX security_report_by_answer ON security_report (tenant_id, answered_at_ms);
SELECT freehold_protect('security_report');
