-- Webhooks of providers: what their deliveries are verified with, what was accepted and is kept, and what was refused.

CREATE TABLE webhook_source (
    tenant_id         uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    source            text   NOT NULL,
    secret_sealed     bytea  NOT NULL,
    set_at_ms         bigint NOT NULL,
    previous_sealed   bytea,
    previous_until_ms bigint,
    PRIMARY KEY (tenant_id, source)
);
SELECT freehold_protect('webhook_source');

CREATE TABLE webhook_delivery (
    tenant_id      uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    id             uuid   NOT NULL,
    source         text   NOT NULL,
    body_sealed    bytea  NOT NULL,
    request_id     text   NOT NULL,
    received_at_ms bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX webhook_delivery_by_age ON webhook_delivery (tenant_id, received_at_ms);
SELECT freehold_protect('webhook_delivery');

CREATE TABLE webhook_event (
    tenant_id      uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    id             uuid   NOT NULL,
    delivery_id    uuid   NOT NULL,
    provider       text   NOT NULL,
    once_key       bytea  NOT NULL,
    event_id       text   NOT NULL,
    kind           text   NOT NULL,
    account        text,
    happened_at_ms bigint,
    number         bigint,
    received_at_ms bigint NOT NULL,
    repeated       bigint NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, provider, once_key),
    FOREIGN KEY (tenant_id, delivery_id) REFERENCES webhook_delivery (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX webhook_event_by_delivery ON webhook_event (tenant_id, delivery_id);
SELECT freehold_protect('webhook_event');

CREATE TABLE webhook_refusal (
    tenant_id        uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    provider         text   NOT NULL,
    cause            text   NOT NULL,
    detail           text   NOT NULL,
    request_id       text   NOT NULL,
    times            bigint NOT NULL,
    first_seen_at_ms bigint NOT NULL,
    last_seen_at_ms  bigint NOT NULL,
    PRIMARY KEY (tenant_id, provider, cause)
);
SELECT freehold_protect('webhook_refusal');
