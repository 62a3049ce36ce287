//! A PostgreSQL database that would not keep tenants apart is not served, and every tenant table keeps them apart.

use freehold_storage::{OpenError, Store, StoreError, migrate};

use crate::fixture::{Database, Kind};

/// Why the database is refused after `change` was made to it.
async fn refusal(change: impl AsyncFnOnce(&Database)) -> OpenError {
    let database = Database::migrated().await;
    change(&database).await;
    let mut refusals = Vec::new();
    for kind in [Kind::Postgres, Kind::PgBouncer] {
        refusals.push(Store::open_postgres(database.options(kind)).await.unwrap_err());
    }
    database.end().await;
    assert_eq!(refusals[0].to_string(), refusals[1].to_string());
    assert!(!refusals[0].remedy().is_empty());
    refusals.remove(0)
}

#[tokio::test]
async fn superusers_are_refused() {
    let error = refusal(async |database| database.admin(format!("ALTER ROLE {} SUPERUSER", database.app)).await).await;
    assert!(matches!(error, OpenError::RoleIsSuperuser { .. }), "{error:?}");
}

#[tokio::test]
async fn roles_that_bypass_are_refused() {
    let error = refusal(async |database| database.admin(format!("ALTER ROLE {} BYPASSRLS", database.app)).await).await;
    assert!(matches!(&error, OpenError::RoleCanBypass { role, through } if role == through), "{error:?}");
    let error = refusal(async |database| {
        let through = format!("CREATE ROLE through_{0} BYPASSRLS; GRANT through_{0} TO {0}", database.app);
        database.admin(through).await;
    })
    .await;
    assert!(matches!(&error, OpenError::RoleCanBypass { role, through } if role != through), "{error:?}");
    let OpenError::RoleCanBypass { through, .. } = error else { panic!() };
    let other = Database::new().await;
    other.admin(format!("DROP ROLE {through}")).await;
    other.end().await;
}

#[tokio::test]
async fn owners_are_refused() {
    let own = async |database: &Database| database.admin(format!("ALTER TABLE member OWNER TO {}", database.app)).await;
    let error = refusal(own).await;
    assert!(matches!(&error, OpenError::RoleOwnsTable { table, .. } if table == "member"), "{error:?}");
    let member =
        async |database: &Database| database.admin(format!("GRANT {} TO {}", database.owner, database.app)).await;
    assert!(matches!(refusal(member).await, OpenError::RoleOwnsTable { .. }));
}

#[tokio::test]
async fn unprotected_tables_are_refused() {
    for change in [
        "ALTER TABLE lockout NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE lockout DISABLE ROW LEVEL SECURITY",
        "DROP POLICY own_tenant ON lockout",
    ] {
        let error = refusal(async |database| database.admin(change.to_owned()).await).await;
        assert!(matches!(&error, OpenError::TableUnprotected { table } if table == "lockout"), "{change}: {error:?}");
    }
    let new = async |database: &Database| database.admin("CREATE TABLE keys.extra (tenant_id uuid)".to_owned()).await;
    let error = refusal(new).await;
    assert!(matches!(&error, OpenError::TableUnprotected { table } if table == "keys.extra"), "{error:?}");
}

#[tokio::test]
async fn roles_without_grants_are_refused() {
    let revoke = async |database: &Database| database.admin(format!("REVOKE freehold_app FROM {}", database.app)).await;
    assert!(matches!(refusal(revoke).await, OpenError::NotGranted { .. }));
}

#[tokio::test]
async fn other_schemas_are_refused() {
    let known = migrate::lists()[0].last().unwrap().version;
    let behind = format!("DELETE FROM _sqlx_migrations WHERE version = {known}");
    let error = refusal(async |database| database.admin(behind).await).await;
    assert!(
        matches!(error, OpenError::Store(StoreError::SchemaBehind { found, known: k }) if found < k && k == known),
        "{error:?}"
    );
    let ahead = "INSERT INTO _sqlx_migrations VALUES (9999, 'later', now(), TRUE, '', 0)";
    let error = refusal(async |database| database.admin(ahead.to_owned()).await).await;
    assert!(matches!(error, OpenError::Store(StoreError::SchemaAhead { found: 9999, .. })), "{error:?}");
    let empty = Database::new().await;
    let error = Store::open_postgres(empty.options(Kind::Postgres)).await.unwrap_err();
    assert!(matches!(error, OpenError::Store(StoreError::SchemaBehind { found: 0, .. })), "{error:?}");
    empty.end().await;
}

#[tokio::test]
async fn no_server_and_no_url_are_errors() {
    let database = Database::new().await;
    let mut options = database.options(Kind::Postgres);
    options.url = freehold_domain::secret::Secret::new("postgres://nobody@127.0.0.1:1/none".to_owned());
    let error = Store::open_postgres(options.clone()).await.unwrap_err();
    assert!(matches!(error, OpenError::Store(StoreError::Unavailable { .. })), "{error:?}");
    options.url = freehold_domain::secret::Secret::new("secret words".to_owned());
    let error = Store::open_postgres(options).await.unwrap_err();
    assert!(matches!(error, OpenError::Address) && !format!("{error:?}").contains("secret"), "{error:?}");
    database.end().await;
}

/// Tables that belong to no tenant. Any other table must be a tenant table. Certificates are among them: which one is shown
/// is decided before any tenant is known, and the server alone orders them.
const SHARED: &str = "'tenant', 'custom_domain', '_sqlx_migrations', 'root_key', 'master_check', 'acme_account', 'acme_certificate', \
                      'acme_order', 'acme_challenge'";
const POLICY: &str = "(tenant_id = ( SELECT (current_setting('app.tenant'::text))::uuid AS current_setting))";

/// What is wrong with the schema as the migrations leave it; each query must answer nothing.
fn faults() -> [(&'static str, String); 7] {
    let tables = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'keys')";
    let of_tenant = format!("{tables} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'");
    let policies = format!("{of_tenant} LEFT JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'own_tenant'");
    [
        (
            "neither shared nor a tenant's",
            format!(
                "SELECT c.relname::text FROM {tables} WHERE c.relkind IN ('r', 'p') AND c.relname NOT IN ({SHARED})
                 AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')"
            ),
        ),
        (
            "row-level security is not forced",
            format!(
                "SELECT c.relname::text FROM {of_tenant} WHERE c.relkind IN ('r', 'p')
                 AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
            ),
        ),
        (
            "not the policy of a tenant table",
            format!(
                "SELECT c.relname::text FROM {policies} WHERE c.relkind IN ('r', 'p') AND (p.oid IS NULL
                 OR p.polcmd <> '*' OR p.polroles <> '{{0}}' OR NOT p.polpermissive
                 OR pg_get_expr(p.polqual, p.polrelid) IS DISTINCT FROM $${POLICY}$$
                 OR pg_get_expr(p.polwithcheck, p.polrelid) IS DISTINCT FROM $${POLICY}$$)"
            ),
        ),
        (
            "a second policy for the runtime role",
            "SELECT p.polname::text FROM pg_policy p WHERE p.polname <> 'own_tenant' AND NOT (p.polname IN ('feed', 'due')
             AND p.polcmd = 'r' AND p.polroles = ARRAY[(SELECT relowner FROM pg_class WHERE oid = p.polrelid)])"
                .to_owned(),
        ),
        (
            "the runtime role may use the tenant column",
            format!(
                "SELECT c.relname::text FROM {of_tenant} WHERE c.relkind IN ('r', 'p') AND
                 has_column_privilege('freehold_app', c.oid, a.attnum, 'SELECT, INSERT, UPDATE, REFERENCES')"
            ),
        ),
        (
            "a key or a reference without the tenant",
            format!(
                "SELECT k.conname::text FROM {of_tenant} JOIN pg_constraint k ON k.conrelid = c.oid
                 WHERE c.relkind IN ('r', 'p') AND k.contype IN ('p', 'u', 'f')
                 AND (k.conkey[1] <> a.attnum OR k.contype = 'f' AND k.confkey[1] <> 1)"
            ),
        ),
        (
            "no default for the tenant",
            format!(
                "SELECT c.relname::text FROM {of_tenant} LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
                 WHERE c.relkind IN ('r', 'p') AND pg_get_expr(d.adbin, d.adrelid)
                 IS DISTINCT FROM $$(current_setting('app.tenant'::text))::uuid$$"
            ),
        ),
    ]
}

#[tokio::test]
async fn every_tenant_table_keeps_tenants_apart() {
    let database = Database::migrated().await;
    let mut admin = database.as_superuser().await;
    let count = "SELECT COUNT(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                 WHERE a.attname = 'tenant_id' AND c.relkind = 'r'";
    let tables: i64 = sqlx::query_scalar(count).fetch_one(&mut admin).await.unwrap();
    assert!(tables >= 7, "the queries below look at {tables} tables");
    for (fault, query) in faults() {
        let found: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_all(&mut admin).await.unwrap();
        assert!(found.is_empty(), "{fault}: {found:?}");
    }
    drop(admin);
    database.end().await;
}
