//! One database file: how it is made, opened and upgraded.
//!
//! The file's `user_version` is the number of its last migration. A file that is behind is copied to
//! `{file}.before-NNNN`, NNNN being the first migration to come, and upgraded; one that is ahead is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous, SqliteTransactionManager,
};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use sqlx_core::transaction::TransactionManager;

use crate::error::StoreError;
use crate::migrate;
use crate::tenant_tx::STORE_TIMEOUT;

/// How long a statement waits for another process that writes the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps other processes from upgrading while it lives.
#[derive(Debug)]
pub(super) struct UpgradeLock {
    _file: File,
}

impl UpgradeLock {
    /// Waits for the lock of this folder.
    pub(super) async fn take(folder: &Path) -> io::Result<Self> {
        let path = folder.join("upgrade.lock");
        let taken = tokio::task::spawn_blocking(move || {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
            file.lock()?;
            Ok(Self { _file: file })
        });
        taken.await.map_err(io::Error::other)?
    }
}

/// Opens the file at `path`, which must exist, and upgrades it if it is behind, under the lock of `folder`.
pub(super) async fn open(folder: &Path, path: &Path, migrations: &'static Migrator) -> Result<SqlitePool, StoreError> {
    let pool = connect(path, 1);
    let known = migrate::last(migrations);
    let opened = match version(&pool).await {
        Ok(found) if found == known => Ok(()),
        Ok(_) => match UpgradeLock::take(folder).await {
            Ok(lock) => upgrade(&pool, path, migrations, &lock).await,
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error),
    };
    or_close(pool, opened).await
}

/// Opens the file at `path`, which must exist, and upgrades it if it is behind.
pub(super) async fn open_locked(
    path: &Path,
    connections: u32,
    migrations: &'static Migrator,
    lock: &UpgradeLock,
) -> Result<SqlitePool, StoreError> {
    let pool = connect(path, connections);
    let upgraded = upgrade(&pool, path, migrations, lock).await;
    or_close(pool, upgraded).await
}

async fn or_close(pool: SqlitePool, opened: Result<(), StoreError>) -> Result<SqlitePool, StoreError> {
    if opened.is_err() {
        pool.close().await;
    }
    opened.map(|()| pool)
}

fn connect(path: &Path, connections: u32) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(STORE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                if connection.is_in_transaction() {
                    resume(connection).await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// A full disk makes SQLite roll back by itself, and sqlx then believes that the transaction is still open. It is given
/// one to roll back, since a new connection would need room on that disk, and reading would have to wait for it too.
async fn resume(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN").execute(&mut *connection).await?;
    SqliteTransactionManager::rollback(connection).await
}

/// SQLite has no lock of its own for migrations, hence the parameter.
async fn upgrade(
    pool: &SqlitePool,
    path: &Path,
    migrations: &'static Migrator,
    _lock: &UpgradeLock,
) -> Result<(), StoreError> {
    let known = migrate::last(migrations);
    let found = version(pool).await?;
    if found == known {
        return Ok(());
    }
    if found > known {
        return Err(StoreError::SchemaAhead { found, known });
    }
    if found > 0 {
        let next = migrations.iter().map(|migration| migration.version).find(|version| *version > found);
        copy_beside(pool, path, next.unwrap_or(known)).await?;
    }
    Ok(migrations.run(pool).await?)
}

async fn version(pool: &SqlitePool) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("PRAGMA user_version").fetch_one(pool).await?)
}

/// Writes a copy as of now to `{path}.before-NNNN`, in place of an earlier attempt's.
async fn copy_beside(pool: &SqlitePool, path: &Path, next: i64) -> Result<(), StoreError> {
    let copy = with_suffix(path, &format!("before-{next:04}"));
    let unfinished = with_suffix(&copy, "new");
    remove_if_there(&unfinished)?;
    create_private(&unfinished)?; // VACUUM INTO takes an empty file, and keeps its mode
    let Some(target) = unfinished.to_str() else {
        return Err(StoreError::unavailable("the path of the data folder is not UTF-8"));
    };
    sqlx::query("VACUUM INTO $1").bind(target).execute(pool).await?;
    File::open(&unfinished)?.sync_all()?;
    Ok(fs::rename(&unfinished, &copy)?)
}

/// An empty tenant store of the newest schema, as the bytes of its file.
pub(super) async fn template(folder: &Path) -> Result<Arc<[u8]>, StoreError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let unique = format!("template-{}-{}.db", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = folder.join(unique);
    remove_if_there(&path)?;
    create_private(&path)?;
    let pool = open(folder, &path, &migrate::TENANT).await?;
    pool.close().await; // which also moves the write-ahead log into the file
    let bytes = fs::read(&path)?;
    fs::remove_file(&path)?;
    Ok(bytes.into())
}

/// Writes `bytes` to a new file at `path`, which appears whole and durable or not at all.
///
/// # Errors
/// `AlreadyExists` when there is a file at `path`; it stays as it is.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = with_suffix(path, "new");
    remove_if_there(&unfinished)?;
    let mut file = create_private(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let linked = fs::hard_link(&unfinished, path); // unlike a rename, it replaces nothing
    fs::remove_file(&unfinished)?;
    linked?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// A new file that its owner alone may read.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}
