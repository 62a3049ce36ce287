//! What is checked before a PostgreSQL database is served, and while it is: without it, isolation would be a hope.

use sqlx::{Postgres, Row, Transaction};

use crate::error::{OpenError, StoreError};
use crate::migrate;

/// The first of each kind of trouble, or NULL. A tenant table is a table with a column `tenant_id`, whoever made it.
const FACTS: &str = "
    WITH tenant_table AS MATERIALIZED (
        SELECT c.oid, c.relowner, c.relrowsecurity AND c.relforcerowsecurity
               AND EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid) AS protected
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
         WHERE c.relkind IN ('r', 'p')
    )
    SELECT current_user::text AS role,
           me.rolsuper AS superuser,
           (SELECT min(r.rolname::text) FROM pg_catalog.pg_roles r
             WHERE (r.rolsuper OR r.rolbypassrls) AND pg_has_role(current_user, r.oid, 'MEMBER')) AS bypass_through,
           (SELECT min(t.oid::regclass::text) FROM tenant_table t
             WHERE pg_has_role(current_user, t.relowner, 'MEMBER')) AS owned,
           (SELECT min(t.oid::regclass::text) FROM tenant_table t WHERE NOT t.protected) AS unprotected,
           COALESCE((SELECT pg_has_role(current_user, r.oid, 'USAGE') FROM pg_catalog.pg_roles r
             WHERE r.rolname = 'freehold_app'), FALSE) AS granted,
           to_regclass('public._sqlx_migrations') IS NOT NULL AS migrated
      FROM pg_catalog.pg_roles me
     WHERE me.rolname = current_user";

const VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM public._sqlx_migrations WHERE success";

/// Checks the role and the schema that `tx` sees.
///
/// # Errors
/// The first trouble found.
pub(super) async fn run(mut tx: Transaction<'static, Postgres>, persistent: bool) -> Result<(), OpenError> {
    let facts = sqlx::query(FACTS).persistent(persistent).fetch_one(&mut *tx).await?;
    let role: String = facts.try_get("role")?;
    if facts.try_get("superuser")? {
        return Err(OpenError::RoleIsSuperuser { role });
    }
    if let Some(through) = facts.try_get("bypass_through")? {
        return Err(OpenError::RoleCanBypass { role, through });
    }
    if let Some(table) = facts.try_get("owned")? {
        return Err(OpenError::RoleOwnsTable { role, table });
    }
    if let Some(table) = facts.try_get("unprotected")? {
        return Err(OpenError::TableUnprotected { table });
    }
    let known = migrate::last(&migrate::POSTGRES);
    if !facts.try_get::<bool, _>("migrated")? {
        return Err(StoreError::SchemaBehind { found: 0, known }.into());
    }
    if !facts.try_get::<bool, _>("granted")? {
        return Err(OpenError::NotGranted { role });
    }
    let found: i64 = sqlx::query(VERSION).persistent(persistent).fetch_one(&mut *tx).await?.try_get(0)?;
    if found < known {
        return Err(StoreError::SchemaBehind { found, known }.into());
    }
    if found > known {
        return Err(StoreError::SchemaAhead { found, known }.into());
    }
    Ok(())
}
