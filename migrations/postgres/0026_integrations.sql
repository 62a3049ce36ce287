-- Services outside that a tenant lets the server call for it: what opens them, sealed, and when that is refreshed.

CREATE TABLE integration (
    tenant_id        uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    name             text   COLLATE "C" NOT NULL,
    secret_sealed    bytea  NOT NULL,
    refresh_sealed   bytea,
    account          text   NOT NULL,
    last4            text   NOT NULL,
    set_at_ms        bigint NOT NULL,
    ends_at_ms       bigint,
    due_at_ms        bigint,
    claimed_until_ms bigint,
    expired_at_ms    bigint,
    version          bigint NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
CREATE INDEX integration_due ON integration (due_at_ms) WHERE due_at_ms IS NOT NULL;
SELECT freehold_protect('integration');

-- Nodes ask which tenants have tokens to refresh, of all tenants, through this function and in no other way: it runs as the
-- owner of the table, for whom alone the second policy lifts the first, and answers nothing but the tenants.
CREATE POLICY due ON integration FOR SELECT TO CURRENT_USER USING (TRUE);
CREATE FUNCTION freehold_integrations_due(now_ms bigint, rows_max bigint)
RETURNS TABLE (tenant uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT i.tenant_id
      FROM integration i
     WHERE i.due_at_ms <= now_ms
     LIMIT rows_max
$$;
REVOKE ALL ON FUNCTION freehold_integrations_due(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION freehold_integrations_due(bigint, bigint) TO freehold_app;
