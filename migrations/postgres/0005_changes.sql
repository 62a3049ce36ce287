-- The change feed: what other nodes must learn about a tenant, written in the transaction that made it true.

CREATE TABLE change (
    tenant_id uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    seq       bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    kind      text   COLLATE "C" NOT NULL,
    subject   uuid   NOT NULL,
    value     bigint NOT NULL,
    at_ms     bigint NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);
CREATE INDEX change_by_age ON change (tenant_id, at_ms, seq);
CREATE INDEX change_feed_by_seq ON change (seq);
CREATE INDEX change_feed_by_age ON change (at_ms);
SELECT freehold_protect('change');

-- Nodes follow the changes of all tenants. They read them through this function and in no other way: it runs as the
-- owner of the table, for whom alone the second policy lifts the first.
CREATE POLICY feed ON change FOR SELECT TO CURRENT_USER USING (TRUE);
CREATE FUNCTION freehold_changes_after(after_seq bigint, since_ms bigint, rows_max bigint)
RETURNS TABLE (seq bigint, tenant uuid, kind text, subject uuid, value bigint, at_ms bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT c.seq, c.tenant_id, c.kind, c.subject, c.value, c.at_ms
      FROM change c
     WHERE c.seq > after_seq OR c.at_ms >= since_ms
     ORDER BY c.seq
     LIMIT rows_max
$$;
REVOKE ALL ON FUNCTION freehold_changes_after(bigint, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION freehold_changes_after(bigint, bigint, bigint) TO freehold_app;
