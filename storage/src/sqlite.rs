//! SQLite: a folder with `system.db`, `keys.db` and a file for each tenant.
//!
//! ```text
//! {data_dir}/system.db         the directory of tenants
//! {data_dir}/keys.db           their sealed root keys
//! {data_dir}/tenants/{id}.db   one tenant
//! {data_dir}/upgrade.lock      held by the process that upgrades a file
//! ```
//! Folders are made with mode 0700 and files with 0600. A file is upgraded when it is opened, after a copy of it was
//! put beside it; see [`file`].

mod file;
mod files;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use freehold_domain::id::TenantId;
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::sync::OnceCell;

use crate::error::{OpenError, StoreError};
use crate::migrate;
use crate::tenant_tx::{Mode, Place};
use file::UpgradeLock;
use files::Files;
pub(crate) use files::Lease;

/// A reader need not wait for a writer whose commit is on its way to the disk.
const SYSTEM_CONNECTIONS: u32 = 2;

/// A folder of databases.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    system: SqlitePool,
    keys: SqlitePool,
    files: Arc<Files>,
    template: OnceCell<Arc<[u8]>>,
}

impl DataDir {
    /// Opens the folder, and makes it when there is none.
    pub(crate) async fn open(path: PathBuf, open_files_max: usize) -> Result<Self, OpenError> {
        let tenants = path.join("tenants");
        make_private(&tenants).map_err(|source| OpenError::Folder { path: tenants, source })?;
        let lock = UpgradeLock::take(&path).await;
        let lock = lock.map_err(|source| OpenError::Folder { path: path.clone(), source })?;
        if let Some(name) = lost(&path).map_err(|source| OpenError::Folder { path: path.clone(), source })? {
            return Err(StoreError::Missing { name: name.to_owned() }.into());
        }
        let (keys_path, system_path) = (path.join("keys.db"), path.join("system.db"));
        let keys = open_or_create(&keys_path, 1, &migrate::KEYS, &lock).await?;
        let system = open_or_create(&system_path, SYSTEM_CONNECTIONS, &migrate::SYSTEM, &lock).await?;
        let files = Arc::new(Files::new(path.clone(), open_files_max));
        Ok(Self { path, system, keys, files, template: OnceCell::new() })
    }

    /// Begins in the file of the place, which the lease keeps open.
    pub(crate) async fn begin(
        &self,
        place: Place,
        mode: Mode,
    ) -> Result<(Transaction<'static, Sqlite>, Option<Lease>), StoreError> {
        let (tx, lease) = match place {
            Place::System(_) => (begin(&self.system, mode).await?, None),
            Place::Keys => (begin(&self.keys, mode).await?, None),
            Place::Tenant(tenant) => {
                let lease = self.files.lease(tenant).await?;
                (begin(lease.pool()?, mode).await?, Some(lease))
            }
        };
        Ok((tx, lease))
    }

    /// Puts an empty store for `tenant` in its place, whole or not at all.
    pub(crate) async fn create_tenant(&self, tenant: TenantId) -> Result<(), StoreError> {
        let template = self.template.get_or_try_init(|| file::template(&self.path)).await?;
        let (template, path) = (Arc::clone(template), self.files.path_of(tenant));
        let written = tokio::task::spawn_blocking(move || file::write_new(&path, &template)).await;
        match written.map_err(StoreError::unavailable)? {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(StoreError::Conflict { source: error.into() })
            }
            other => Ok(other?),
        }
    }

    pub(crate) async fn close_tenant(&self, tenant: TenantId) {
        self.files.close(tenant).await;
    }

    pub(crate) async fn close(&self) {
        self.files.close_all().await;
        self.system.close().await;
        self.keys.close().await;
    }

    /// How many tenants' files are open.
    pub(crate) fn open_files(&self) -> usize {
        self.files.open_count()
    }
}

/// The file that is missing from a folder already in use. It is not made anew: the directory is made after the keys, and
/// before the first tenant.
fn lost(folder: &Path) -> io::Result<Option<&'static str>> {
    if folder.join("system.db").try_exists()? {
        return Ok((!folder.join("keys.db").try_exists()?).then_some("keys.db"));
    }
    let has_tenants = fs::read_dir(folder.join("tenants"))?.next().is_some();
    Ok(has_tenants.then_some("system.db"))
}

/// A writer takes the write lock at once: one that reads first and then finds a rival's commit could not go on.
async fn begin(pool: &SqlitePool, mode: Mode) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    match mode {
        Mode::Read => pool.begin().await,
        Mode::Write => pool.begin_with("BEGIN IMMEDIATE").await,
    }
}

async fn open_or_create(
    path: &Path,
    connections: u32,
    migrations: &'static sqlx::migrate::Migrator,
    lock: &UpgradeLock,
) -> Result<SqlitePool, OpenError> {
    match file::create_private(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(OpenError::Folder { path: path.to_owned(), source: error })
        }
        _ => Ok(file::open_locked(path, connections, migrations, lock).await?),
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
