-- Letters that wait to be sent, sealed as a whole. A row goes with its letter; one that was given up keeps no letter.

CREATE TABLE mail (
    tenant_id      uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    id             uuid   NOT NULL,
    kind           text   COLLATE "C" NOT NULL,
    letter_sealed  bytea,
    created_at_ms  bigint NOT NULL,
    next_try_at_ms bigint NOT NULL,
    tries          bigint NOT NULL,
    given_up_at_ms bigint,
    PRIMARY KEY (tenant_id, id),
    CHECK ((letter_sealed IS NULL) = (given_up_at_ms IS NOT NULL))
);
CREATE INDEX mail_waiting ON mail (tenant_id, next_try_at_ms, id) WHERE given_up_at_ms IS NULL;
CREATE INDEX mail_given_up ON mail (tenant_id, given_up_at_ms) WHERE given_up_at_ms IS NOT NULL;
CREATE INDEX mail_due ON mail (next_try_at_ms) WHERE given_up_at_ms IS NULL;
SELECT freehold_protect('mail');

-- Nodes ask which tenants have letters that are due, of all tenants, through this function and in no other way: it runs
-- as the owner of the table, for whom alone the second policy lifts the first, and answers nothing but the tenants.
CREATE POLICY due ON mail FOR SELECT TO CURRENT_USER USING (TRUE);
CREATE FUNCTION freehold_mail_due(now_ms bigint, rows_max bigint)
RETURNS TABLE (tenant uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT m.tenant_id
      FROM mail m
     WHERE m.given_up_at_ms IS NULL AND m.next_try_at_ms <= now_ms
     LIMIT rows_max
$$;
REVOKE ALL ON FUNCTION freehold_mail_due(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION freehold_mail_due(bigint, bigint) TO freehold_app;
