//! `[database]`: which engine holds the data.

use freehold_domain::secret::Secret;
use freehold_storage::{Transport, transport};

use super::profile::Profile;
use super::values::Values;

pub(super) const URL: &str = "database.url";
pub(super) const MIGRATE_URL: &str = "database.migrate_url";
const POOLER: &str = "database.pooler";
pub(super) const SETTINGS: &[&str] = &[URL, MIGRATE_URL, POOLER];

/// What stands between the server and PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing, or a pooler that keeps a session on one connection.
    None,
    /// A pooler that hands out a connection for one transaction: no prepared statements, no session state.
    Transaction,
}

/// The engine and how to reach it.
#[derive(Clone, Debug)]
pub enum Database {
    /// Files under the data directory.
    Sqlite,
    /// A PostgreSQL server.
    Postgres {
        /// `postgres://…` with the runtime role, which owns nothing.
        url: Secret<String>,
        /// `postgres://…` with the role that owns the tables, for `migrate`.
        migrate_url: Option<Secret<String>>,
        /// What is in between.
        pooler: Pooler,
    },
}

pub(super) fn read(values: &mut Values, profile: Profile) -> Option<Database> {
    let url = address(values, URL, profile);
    let migrate_url = address(values, MIGRATE_URL, profile);
    let pooler = values.read(POOLER, "a kind of pooler", "write none or transaction", |text| match text {
        "none" => Some(Pooler::None),
        "transaction" => Some(Pooler::Transaction),
        _ => None,
    });
    if !values.is_set(URL) && !values.is_faulty(URL) {
        for (setting, set) in [(MIGRATE_URL, migrate_url.is_some()), (POOLER, pooler == Some(Pooler::Transaction))] {
            if set {
                values.fault(setting, "is of no use without FREEHOLD_DATABASE_URL", "set that, or unset this one");
            }
        }
    }
    let pooler = pooler?;
    Some(url.map_or(Database::Sqlite, |url| Database::Postgres { url, migrate_url, pooler }))
}

/// Off this machine the database's certificate is looked at, in production always.
fn address(values: &mut Values, setting: &str, profile: Profile) -> Option<Secret<String>> {
    let remedy = "write it like postgres://role:password@host:5432/database";
    let url = values.read(setting, "a PostgreSQL address", remedy, |text| {
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"))?;
        let wrong = |c: char| c.is_whitespace() || c.is_control();
        (!rest.is_empty() && !rest.contains(wrong)).then(|| Secret::new(text.to_owned()))
    })?;
    if profile == Profile::Production && matches!(transport(&url), Ok(Transport::Unverified)) {
        let remedy = "write sslmode=verify-full, and sslrootcert=FILE for an authority of your own";
        values.fault(setting, "does not look at the certificate of the database", remedy);
        return None;
    }
    Some(url)
}
