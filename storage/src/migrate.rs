//! The migrations, compiled in: one list for PostgreSQL, the same numbers spread over three kinds of file for SQLite.
//!
//! SQLite files are upgraded when they are opened. A PostgreSQL database is upgraded by its owner, before the server
//! starts, through [`postgres`]; the server's own role may only see whether that was done.

use std::time::Duration;

use freehold_domain::secret::Secret;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;

use crate::error::{OpenError, StoreError};
use crate::postgres;

pub(crate) static SYSTEM: Migrator = sqlx::migrate!("../migrations/sqlite/system");
pub(crate) static KEYS: Migrator = sqlx::migrate!("../migrations/sqlite/keys");
pub(crate) static TENANT: Migrator = sqlx::migrate!("../migrations/sqlite/tenant");
pub(crate) static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

/// How long a migration waits for a lock, another migration's included.
const LOCK_TIMEOUT: &str = "10s";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A migration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// Its number.
    pub version: i64,
    /// What it brings.
    pub description: String,
}

/// Brings the database at `owner_url` up to date and answers what was done, in order.
///
/// The owner connects directly, not through a pooler: the lock that keeps two migrations apart belongs to its
/// connection, which is closed in any case. The group role `freehold_app`, to which all grants go, is created if it is
/// missing; grant it to the role that the server runs with. Each migration is one transaction.
///
/// # Errors
/// [`OpenError::GroupRoleMissing`] when the group role is missing and the owner may not create it;
/// [`StoreError::SchemaAhead`]; whatever the store answers.
pub async fn postgres(owner_url: &Secret<String>) -> Result<Vec<Step>, OpenError> {
    let pool = connect(owner_url).await?;
    let done = run(&pool).await;
    pool.close().await;
    done
}

/// The migrations that [`postgres`] would do, in order. Changes nothing.
///
/// # Errors
/// As [`postgres`], except for the group role.
pub async fn plan(owner_url: &Secret<String>) -> Result<Vec<Step>, OpenError> {
    let pool = connect(owner_url).await?;
    let pending = pending(&pool).await;
    pool.close().await;
    Ok(pending?)
}

/// The migrations of PostgreSQL, and those of SQLite's three kinds of file together, each in order.
#[must_use]
pub fn lists() -> [Vec<Step>; 2] {
    let mut sqlite: Vec<_> = [&SYSTEM, &KEYS, &TENANT].into_iter().flat_map(steps).collect();
    sqlite.sort();
    sqlite.dedup();
    [steps(&POSTGRES), sqlite]
}

/// The number of the last migration.
pub(crate) fn last(migrations: &Migrator) -> i64 {
    migrations.iter().map(|migration| migration.version).max().unwrap_or(0)
}

async fn connect(url: &Secret<String>) -> Result<PgPool, OpenError> {
    let options = postgres::options(url)?.options([("lock_timeout", LOCK_TIMEOUT), ("search_path", "public")]);
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_TIMEOUT);
    Ok(Box::pin(pool.connect_with(options)).await?)
}

async fn run(pool: &PgPool) -> Result<Vec<Step>, OpenError> {
    let pending = pending(pool).await?;
    ensure_group_role(pool).await?;
    Box::pin(POSTGRES.run(pool)).await.map_err(StoreError::from)?;
    Ok(pending)
}

async fn ensure_group_role(pool: &PgPool) -> Result<(), OpenError> {
    let there = "SELECT to_regrole('freehold_app') IS NOT NULL";
    if sqlx::query_scalar(there).fetch_one(pool).await? {
        return Ok(());
    }
    let created = sqlx::query("CREATE ROLE freehold_app NOLOGIN").execute(pool).await;
    match created {
        Ok(_) => Ok(()),
        Err(error) => {
            // Roles belong to the whole cluster: another database's migration may have been first.
            if sqlx::query_scalar(there).fetch_one(pool).await? {
                return Ok(());
            }
            match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
                Some(code) if code == "42501" => {
                    let owner = sqlx::query_scalar("SELECT current_user::text").fetch_one(pool).await?;
                    Err(OpenError::GroupRoleMissing { owner })
                }
                _ => Err(error.into()),
            }
        }
    }
}

async fn pending(pool: &PgPool) -> Result<Vec<Step>, StoreError> {
    let there = sqlx::query_scalar("SELECT to_regclass('public._sqlx_migrations') IS NOT NULL").fetch_one(pool).await?;
    let done: Vec<i64> = if there {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(pool).await?
    } else {
        Vec::new()
    };
    let (found, known) = (done.iter().copied().max().unwrap_or(0), last(&POSTGRES));
    if found > known {
        return Err(StoreError::SchemaAhead { found, known });
    }
    Ok(steps(&POSTGRES).into_iter().filter(|step| !done.contains(&step.version)).collect())
}

fn steps(migrations: &Migrator) -> Vec<Step> {
    let step = |m: &sqlx::migrate::Migration| Step { version: m.version, description: m.description.to_string() };
    migrations.iter().map(step).collect()
}
