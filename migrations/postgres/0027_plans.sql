-- What a tenant buys of the platform, and where it is paid out: its customer and its account at Stripe, each made once.

ALTER TABLE stripe_subscription ADD COLUMN period_start_ms bigint;
SELECT freehold_protect('stripe_subscription');

CREATE TABLE stripe_made (
    tenant_id uuid NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    kind      text COLLATE "C" NOT NULL,
    attempt   uuid NOT NULL,
    id        text COLLATE "C",
    PRIMARY KEY (tenant_id, kind)
);
SELECT freehold_protect('stripe_made');
