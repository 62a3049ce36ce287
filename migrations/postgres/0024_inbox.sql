-- What acts on webhooks that were received: how far each event is, and what Stripe's events say of subscriptions and accounts.
-- Events of before wait: those that have no effect are found to have none.

ALTER TABLE webhook_event ADD COLUMN state          text   COLLATE "C" NOT NULL DEFAULT 'waiting';
ALTER TABLE webhook_event ADD COLUMN tries          bigint NOT NULL DEFAULT 0;
ALTER TABLE webhook_event ADD COLUMN next_try_at_ms bigint NOT NULL DEFAULT 0;
ALTER TABLE webhook_event ADD COLUMN fault          text   COLLATE "C";
CREATE INDEX webhook_event_waiting ON webhook_event (tenant_id, next_try_at_ms, id) WHERE state = 'waiting';
CREATE INDEX webhook_event_parked ON webhook_event (tenant_id, id) WHERE state = 'parked';
CREATE INDEX webhook_event_due ON webhook_event (next_try_at_ms) WHERE state = 'waiting';
SELECT freehold_protect('webhook_event');

CREATE TABLE stripe_subscription (
    tenant_id        uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    account          text   COLLATE "C" NOT NULL,
    id               text   COLLATE "C" NOT NULL,
    customer         text   COLLATE "C" NOT NULL,
    status           text   COLLATE "C" NOT NULL,
    price            text   COLLATE "C",
    period_end_ms    bigint,
    cancels_at_end   bigint NOT NULL,
    version_ended    bigint NOT NULL,
    version_at_ms    bigint NOT NULL,
    version_rank     bigint NOT NULL,
    version_event_id text   COLLATE "C" NOT NULL,
    events           bigint NOT NULL,
    updated_at_ms    bigint NOT NULL,
    PRIMARY KEY (tenant_id, account, id)
);
SELECT freehold_protect('stripe_subscription');

CREATE TABLE stripe_account (
    tenant_id         uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    account           text   COLLATE "C" NOT NULL,
    id                text   COLLATE "C" NOT NULL,
    charges_enabled   bigint NOT NULL,
    payouts_enabled   bigint NOT NULL,
    details_submitted bigint NOT NULL,
    version_at_ms     bigint NOT NULL,
    version_rank      bigint NOT NULL,
    version_event_id  text   COLLATE "C" NOT NULL,
    events            bigint NOT NULL,
    updated_at_ms     bigint NOT NULL,
    PRIMARY KEY (tenant_id, account, id)
);
SELECT freehold_protect('stripe_account');

-- Nodes ask which tenants have events whose effect is due, of all tenants, through this function and in no other way: it runs
-- as the owner of the table, for whom alone the second policy lifts the first, and answers nothing but the tenants.
CREATE POLICY due ON webhook_event FOR SELECT TO CURRENT_USER USING (TRUE);
CREATE FUNCTION freehold_inbox_due(now_ms bigint, rows_max bigint)
RETURNS TABLE (tenant uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT e.tenant_id
      FROM webhook_event e
     WHERE e.state = 'waiting' AND e.next_try_at_ms <= now_ms
     LIMIT rows_max
$$;
REVOKE ALL ON FUNCTION freehold_inbox_due(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION freehold_inbox_due(bigint, bigint) TO freehold_app;
