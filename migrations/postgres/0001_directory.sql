-- The directory of tenants, and the function by which every migration protects a tenant table.

GRANT USAGE ON SCHEMA public TO freehold_app;
GRANT SELECT ON _sqlx_migrations TO freehold_app;

CREATE TABLE tenant (
    id            uuid   PRIMARY KEY,
    slug          text   COLLATE "C" NOT NULL UNIQUE,
    name          text   COLLATE "C" NOT NULL,
    state         text   COLLATE "C" NOT NULL,
    reason        text   COLLATE "C",
    until_ms      bigint,
    created_at_ms bigint NOT NULL,
    updated_at_ms bigint NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant TO freehold_app;

-- Makes `target` a tenant table: a row is seen and written only by the tenant that `app.tenant` names, and the
-- runtime role may use every column but tenant_id. Without `app.tenant` every statement is an error. Call it again
-- after a column was added.
CREATE FUNCTION freehold_protect(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    own constant text := 'tenant_id = (SELECT current_setting(''app.tenant'')::uuid)';
    readable text;
    writable text;
BEGIN
    SELECT string_agg(quote_ident(attname), ', '),
           string_agg(quote_ident(attname), ', ') FILTER (WHERE attidentity = '')
      INTO readable, writable
      FROM pg_attribute
     WHERE attrelid = target AND attnum > 0 AND NOT attisdropped AND attname <> 'tenant_id';
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('DROP POLICY IF EXISTS own_tenant ON %s', target);
    EXECUTE format('CREATE POLICY own_tenant ON %s USING (%s) WITH CHECK (%s)', target, own, own);
    EXECUTE format('GRANT SELECT (%s), INSERT (%s), UPDATE (%s), DELETE ON %s TO freehold_app',
                   readable, writable, writable, target);
END
$$;
REVOKE ALL ON FUNCTION freehold_protect(regclass) FROM PUBLIC;
