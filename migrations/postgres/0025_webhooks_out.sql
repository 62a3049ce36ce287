-- Webhooks to a tenant's own endpoints: where they go, what is told, and how each try went. And breakers that are not closed.

CREATE TABLE webhook_endpoint (
    tenant_id         uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    id                uuid   NOT NULL,
    url               text   NOT NULL,
    description       text   NOT NULL,
    topics            text   NOT NULL,
    profile           text   NOT NULL,
    secret_sealed     bytea  NOT NULL,
    previous_sealed   bytea,
    previous_until_ms bigint,
    after_seq         bigint NOT NULL,
    failing_since_ms  bigint,
    disabled_at_ms    bigint,
    disabled_why      text,
    created_at_ms     bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
SELECT freehold_protect('webhook_endpoint');

-- How far the audit log was looked through for what endpoints want.
CREATE TABLE webhook_cursor (
    tenant_id uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    seq       bigint NOT NULL,
    PRIMARY KEY (tenant_id)
);
SELECT freehold_protect('webhook_cursor');

CREATE TABLE webhook_message (
    tenant_id      uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    endpoint_id    uuid   NOT NULL,
    seq            bigint NOT NULL,
    kind           text   COLLATE "C" NOT NULL,
    state          text   COLLATE "C" NOT NULL,
    tries          bigint NOT NULL,
    attempts       bigint NOT NULL,
    next_try_at_ms bigint NOT NULL,
    created_at_ms  bigint NOT NULL,
    PRIMARY KEY (tenant_id, endpoint_id, seq),
    FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoint (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX webhook_message_waiting ON webhook_message (tenant_id, endpoint_id, next_try_at_ms, seq) WHERE state = 'waiting';
CREATE INDEX webhook_message_by_age ON webhook_message (tenant_id, created_at_ms);
CREATE INDEX webhook_message_due ON webhook_message (next_try_at_ms) WHERE state = 'waiting';
SELECT freehold_protect('webhook_message');

CREATE TABLE webhook_attempt (
    tenant_id     uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    endpoint_id   uuid   NOT NULL,
    seq           bigint NOT NULL,
    attempt       bigint NOT NULL,
    at_ms         bigint NOT NULL,
    took_ms       bigint NOT NULL,
    outcome       text   NOT NULL,
    status        bigint,
    answer_sealed bytea,
    PRIMARY KEY (tenant_id, endpoint_id, seq, attempt),
    FOREIGN KEY (tenant_id, endpoint_id, seq)
        REFERENCES webhook_message (tenant_id, endpoint_id, seq) ON DELETE CASCADE
);
SELECT freehold_protect('webhook_attempt');

CREATE TABLE breaker (
    tenant_id   uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    integration text   COLLATE "C" NOT NULL,
    until_ms    bigint NOT NULL,
    openings    bigint NOT NULL,
    PRIMARY KEY (tenant_id, integration)
);
SELECT freehold_protect('breaker');

-- Nodes ask which tenants have something to send, of all tenants, through this function and in no other way: it runs as the
-- owner of the tables, for whom alone these policies lift the others, and answers nothing but the tenants.
CREATE POLICY due ON webhook_endpoint FOR SELECT TO CURRENT_USER USING (TRUE);
CREATE POLICY due ON webhook_cursor FOR SELECT TO CURRENT_USER USING (TRUE);
CREATE POLICY due ON webhook_message FOR SELECT TO CURRENT_USER USING (TRUE);
CREATE POLICY due ON audit_head FOR SELECT TO CURRENT_USER USING (TRUE);
CREATE FUNCTION freehold_webhooks_due(now_ms bigint, rows_max bigint)
RETURNS TABLE (tenant uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT due.tenant_id
      FROM (SELECT m.tenant_id
              FROM webhook_message m
              JOIN webhook_endpoint e ON e.tenant_id = m.tenant_id AND e.id = m.endpoint_id
             WHERE m.state = 'waiting' AND m.next_try_at_ms <= now_ms AND e.disabled_at_ms IS NULL
             UNION
            SELECT c.tenant_id
              FROM webhook_cursor c
              JOIN audit_head h ON h.tenant_id = c.tenant_id
             WHERE c.seq < h.seq) due
     LIMIT rows_max
$$;
REVOKE ALL ON FUNCTION freehold_webhooks_due(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION freehold_webhooks_due(bigint, bigint) TO freehold_app;
