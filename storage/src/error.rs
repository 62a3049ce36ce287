//! What can go wrong with a store, and when it is opened.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// The error underneath, of whatever kind.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Shows an error and all that caused it on one line, for the log: `the store failed: the file is damaged: …`. A cause
/// that the one above it repeats at its end is left out. No error of this crate holds a value that was bound.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'e>(pub &'e dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut cause = self.0.source();
        while let Some(source) = cause {
            let text = source.to_string();
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            (last, cause) = (text, source.source());
        }
        Ok(())
    }
}

/// A transaction failed. Whatever it had done is undone, except that the outcome of a failed commit is unknown.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store did not answer in time or cannot be reached.
    #[error("the store does not answer")]
    Unavailable {
        /// Why.
        #[source]
        source: Cause,
    },
    /// An earlier statement of this transaction failed or was cut off.
    #[error("the transaction had failed before")]
    Poisoned,
    /// Another transaction won: a unique key, a serialization failure or a deadlock.
    #[error("another transaction was first")]
    Conflict {
        /// Why.
        #[source]
        source: Cause,
    },
    /// The disk that holds the store is full.
    #[error("the store's disk is full")]
    Full {
        /// Why.
        #[source]
        source: Cause,
    },
    /// A row holds what no version of this program writes.
    #[error("row {id} of {table} is corrupt")]
    Corrupt {
        /// The row's table.
        table: &'static str,
        /// The row's id, or what stands for one.
        id: String,
    },
    /// A store's file is not a database, or a damaged one.
    #[error("the store's file is damaged")]
    Damaged {
        /// Why.
        #[source]
        source: Cause,
    },
    /// A store that must be there is not.
    #[error("there is no store {name}")]
    Missing {
        /// The file's name.
        name: String,
    },
    /// The store's schema is older than this program needs.
    #[error("the schema has version {found}, this program needs {known}")]
    SchemaBehind {
        /// The store's last migration; zero when there was none.
        found: i64,
        /// This program's last migration.
        known: i64,
    },
    /// The store's schema is newer than this program knows.
    #[error("the schema has version {found}, this program knows {known}")]
    SchemaAhead {
        /// The store's last migration.
        found: i64,
        /// This program's last migration.
        known: i64,
    },
    /// A statement, its values and the schema do not fit each other, or the role lacks a grant: a defect.
    #[error("the store refuses the statement")]
    Defect {
        /// Why.
        #[source]
        source: Cause,
    },
}

impl StoreError {
    /// Whether the whole operation, begun anew a little later, may well succeed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Conflict { .. })
    }

    /// Whether a commit that failed like this may have happened all the same. Every other failure is the store's word
    /// that it did not.
    #[must_use]
    pub const fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Damaged { .. })
    }

    /// The store cannot be reached or does not answer.
    pub(crate) fn unavailable(source: impl Into<Cause>) -> Self {
        Self::Unavailable { source: source.into() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let kind = Kind::of(&error);
        let source = Cause::from(error);
        match kind {
            Kind::Unavailable => Self::Unavailable { source },
            Kind::Conflict => Self::Conflict { source },
            Kind::Full => Self::Full { source },
            Kind::Damaged => Self::Damaged { source },
            Kind::Defect => Self::Defect { source },
        }
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
            return error.into();
        }
        Self::Defect { source: error.into() }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Self::Full { source: error.into() };
        }
        Self::unavailable(error)
    }
}

enum Kind {
    Unavailable,
    Conflict,
    Full,
    Damaged,
    Defect,
}

impl Kind {
    fn of(error: &sqlx::Error) -> Self {
        use sqlx::Error as E;
        if let Some(database) = error.as_database_error() {
            if let Some(postgres) = database.try_downcast_ref::<PgDatabaseError>() {
                return of_sqlstate(postgres.code());
            }
            if database.try_downcast_ref::<SqliteError>().is_some() {
                return of_result_code(database.code().and_then(|code| code.parse().ok()));
            }
        }
        let unreachable = matches!(error, E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed);
        let broken = matches!(error, E::Protocol(_) | E::BeginFailed | E::InvalidSavePointStatement);
        if unreachable || broken { Self::Unavailable } else { Self::Defect }
    }
}

/// PostgreSQL, appendix A: the first two characters are the class.
fn of_sqlstate(code: &str) -> Kind {
    match code {
        "23505" | "40001" | "40P01" => Kind::Conflict,
        "53100" => Kind::Full,
        "XX001" | "XX002" => Kind::Damaged,
        "25P03" | "55P03" => Kind::Unavailable, // left idle too long; a lock was not to be had
        _ if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => Kind::Unavailable,
        _ => Kind::Defect,
    }
}

/// SQLite's extended result codes: the low eight bits are the primary code.
fn of_result_code(code: Option<u32>) -> Kind {
    match code {
        Some(1555 | 2067) => Kind::Conflict, // primary key, unique
        Some(code) => match code & 0xff {
            5 | 6 | 7 | 9 | 10 | 14 => Kind::Unavailable, // busy, locked, no memory, interrupted, I/O, cannot open
            13 => Kind::Full,
            11 | 26 => Kind::Damaged, // corrupt, not a database
            _ => Kind::Defect,
        },
        None => Kind::Defect,
    }
}

/// A store cannot be opened. [`OpenError::remedy`] says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder of the data, or a file in it, cannot be used.
    #[error("cannot use {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database's address cannot be read. The cause is left out: it may hold the password.
    #[error("the database address is not a postgres:// URL")]
    Address,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Row-level security does not bind a superuser.
    #[error("the database role {role} is a superuser")]
    RoleIsSuperuser {
        /// The runtime role.
        role: String,
    },
    /// Row-level security does not bind who may leave it.
    #[error("the database role {role} can bypass row-level security through {through}")]
    RoleCanBypass {
        /// The runtime role.
        role: String,
        /// The role with BYPASSRLS or SUPERUSER: itself or one it is a member of.
        through: String,
    },
    /// An owner may switch row-level security off.
    #[error("the database role {role} owns the table {table}")]
    RoleOwnsTable {
        /// The runtime role.
        role: String,
        /// A tenant table it owns, itself or through a membership.
        table: String,
    },
    /// A tenant table would give its rows to every tenant, or to its owner.
    #[error("the table {table} has no forced row-level security with a policy")]
    TableUnprotected {
        /// The tenant table.
        table: String,
    },
    /// The grants go to a group role, of which the runtime role is no member.
    #[error("the database role {role} is not a member of freehold_app")]
    NotGranted {
        /// The runtime role.
        role: String,
    },
    /// The group role is missing and the owner may not create it.
    #[error("there is no role freehold_app and {owner} may not create roles")]
    GroupRoleMissing {
        /// The role that migrates.
        owner: String,
    },
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl OpenError {
    /// What the operator should do.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Folder { .. } => "give the server a folder on a local disk that it may write to",
            Self::Address => "write it as postgres://user:password@host:port/database",
            Self::Store(StoreError::SchemaBehind { .. }) => "run `freehold migrate` with the owner's database address",
            Self::Store(StoreError::SchemaAhead { .. }) => {
                "start the newer version of the server that migrated this store, or restore the copy made before"
            }
            Self::Store(StoreError::Missing { .. }) => "restore the missing file from a backup",
            Self::Store(StoreError::Full { .. }) => "free space on the store's disk",
            Self::Store(StoreError::Damaged { .. } | StoreError::Corrupt { .. }) => "restore the store from a backup",
            Self::Store(
                StoreError::Unavailable { .. }
                | StoreError::Poisoned
                | StoreError::Conflict { .. }
                | StoreError::Defect { .. },
            ) => "see that the database runs, can be reached and takes this role's password",
            Self::RoleIsSuperuser { .. } => {
                "give the server a role of its own, made with CREATE ROLE .. LOGIN NOSUPERUSER NOBYPASSRLS IN ROLE freehold_app"
            }
            Self::RoleCanBypass { .. } => "ALTER ROLE .. NOBYPASSRLS, and REVOKE the membership it has it through",
            Self::RoleOwnsTable { .. } => {
                "migrate with another role than the server runs with, and let that one own the tables"
            }
            Self::TableUnprotected { .. } => "as the owner: SELECT freehold_protect('<table>'), or drop the table",
            Self::NotGranted { .. } => "as the owner: GRANT freehold_app TO <role>",
            Self::GroupRoleMissing { .. } => {
                "as a superuser: CREATE ROLE freehold_app NOLOGIN; or ALTER ROLE <owner> CREATEROLE; then migrate again"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_every_cause_once() {
        let disk = io::Error::other("disk I/O error");
        let error = OpenError::Store(StoreError::from(sqlx::Error::Io(disk)));
        let shown = "the store does not answer: error communicating with database: disk I/O error";
        assert_eq!(Chain(&error).to_string(), shown);
        assert_eq!(Chain(&StoreError::Poisoned).to_string(), StoreError::Poisoned.to_string());
    }
}
