-- What browsers reported of the tenant's pages, each sort once, with how often it came.

CREATE TABLE csp_report (
    tenant_id        uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    id               uuid   NOT NULL,
    report_key       bytea  NOT NULL,
    report_sealed    bytea  NOT NULL,
    times            bigint NOT NULL,
    first_seen_at_ms bigint NOT NULL,
    last_seen_at_ms  bigint NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, report_key)
);
CREATE INDEX csp_report_by_age ON csp_report (tenant_id, last_seen_at_ms);
SELECT freehold_protect('csp_report');
