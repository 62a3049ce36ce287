//! The tenants' files that are open: never more than a given number, the least recently used closed first.
//!
//! A transaction holds a [`Lease`], and a leased file is not closed. When every open file is leased, the next one waits
//! for a lease to end.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_domain::id::TenantId;
use sqlx::SqlitePool;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use super::file;
use crate::error::StoreError;
use crate::migrate;

/// The open files of a data folder.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    open_max: usize,
    /// One for each file that may be open.
    room: Arc<Semaphore>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<TenantId, Entry>,
    /// Counts uses, to tell which file was used last.
    clock: u64,
    /// How many leases wait for room.
    waiting: usize,
}

#[derive(Debug)]
struct Entry {
    file: Arc<OpenFile>,
    leases: usize,
    used: u64,
    /// Nobody has a use for it: its last lease closes it, unless another comes first.
    unwanted: bool,
}

/// A file with its one connection; empty while it is being opened.
#[derive(Debug, Default)]
struct OpenFile(OnceCell<(SqlitePool, OwnedSemaphorePermit)>);

impl OpenFile {
    async fn close(&self) {
        if let Some((pool, _)) = self.0.get() {
            pool.close().await;
        }
    }
}

impl Files {
    pub(super) fn new(folder: PathBuf, open_max: usize) -> Self {
        let open_max = open_max.clamp(1, Semaphore::MAX_PERMITS);
        Self { folder, open_max, room: Arc::new(Semaphore::new(open_max)), table: Mutex::default() }
    }

    pub(super) fn path_of(&self, tenant: TenantId) -> PathBuf {
        self.folder.join(format!("tenants/{tenant}.db"))
    }

    pub(super) fn open_count(&self) -> usize {
        self.open_max.saturating_sub(self.room.available_permits())
    }

    /// The tenant's file, opened if it is not, and kept open while the lease lives.
    pub(super) async fn lease(self: &Arc<Self>, tenant: TenantId) -> Result<Lease, StoreError> {
        let lease = self.enter(tenant);
        lease.file.0.get_or_try_init(|| self.open(tenant)).await?;
        Ok(lease)
    }

    /// Closes the tenant's file, at once if nobody uses it, and otherwise with its last lease. A lease that comes before
    /// that keeps it open.
    pub(super) async fn close(&self, tenant: TenantId) {
        let idle = {
            let mut table = self.table();
            match table.entries.get_mut(&tenant) {
                Some(entry) if entry.leases > 0 => {
                    entry.unwanted = true;
                    None
                }
                _ => table.entries.remove(&tenant),
            }
        };
        if let Some(entry) = idle {
            entry.file.close().await;
        }
    }

    /// Closes all files and opens none any more.
    pub(super) async fn close_all(&self) {
        self.room.close();
        let entries: Vec<_> = self.table().entries.drain().collect();
        for (_, entry) in entries {
            entry.file.close().await;
        }
    }

    fn enter(self: &Arc<Self>, tenant: TenantId) -> Lease {
        let mut table = self.table();
        let entry = table.entries.entry(tenant).or_insert_with(|| Entry {
            file: Arc::default(),
            leases: 0,
            used: 0,
            unwanted: false,
        });
        entry.leases += 1;
        entry.unwanted = false;
        Lease { files: Arc::clone(self), tenant, file: Arc::clone(&entry.file) }
    }

    async fn open(&self, tenant: TenantId) -> Result<(SqlitePool, OwnedSemaphorePermit), StoreError> {
        let permit = self.room().await?;
        let path = self.path_of(tenant);
        match fs::metadata(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(file) if file.len() > 0 => {}
            _ => return Err(StoreError::Missing { name: format!("{tenant}.db") }), // never made by reading it
        }
        Ok((file::open(&self.folder, &path, &migrate::TENANT).await?, permit))
    }

    async fn room(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::begin(self);
        Arc::clone(&self.room).acquire_owned().await.map_err(StoreError::unavailable)
    }

    fn leave(&self, tenant: TenantId, file: &Arc<OpenFile>) {
        let mut table = self.table();
        table.clock += 1;
        let (clock, wanted) = (table.clock, table.waiting > 0);
        // Closing everything may have removed the entry.
        let Some(entry) = table.entries.get_mut(&tenant).filter(|entry| Arc::ptr_eq(&entry.file, file)) else { return };
        entry.leases -= 1;
        entry.used = clock;
        let failed = !file.0.initialized();
        if entry.leases == 0 && (wanted || failed || entry.unwanted) {
            table.close_soon(tenant);
        }
    }

    /// A panic under the lock leaves the table whole: each change is one step.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn close_least_recently_used(&mut self) {
        let idle = self.entries.iter().filter(|(_, entry)| entry.leases == 0);
        if let Some(tenant) = idle.min_by_key(|(_, entry)| entry.used).map(|(tenant, _)| *tenant) {
            self.close_soon(tenant);
        }
    }

    /// Closes the file off the caller's path: it moves the write-ahead log into the file.
    fn close_soon(&mut self, tenant: TenantId) {
        if let (Some(entry), Ok(runtime)) = (self.entries.remove(&tenant), Handle::try_current()) {
            runtime.spawn(async move { entry.file.close().await });
        }
    }
}

/// Announces that a file waits for room, so that a file that comes free makes some.
struct Waiting<'f>(&'f Files);

impl<'f> Waiting<'f> {
    fn begin(files: &'f Files) -> Self {
        let mut table = files.table();
        table.waiting += 1;
        table.close_least_recently_used();
        Self(files)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.table().waiting -= 1;
    }
}

/// Keeps a tenant's file open.
#[derive(Debug)]
pub(crate) struct Lease {
    files: Arc<Files>,
    tenant: TenantId,
    file: Arc<OpenFile>,
}

impl Lease {
    pub(super) fn pool(&self) -> Result<&SqlitePool, StoreError> {
        match self.file.0.get() {
            Some((pool, _)) => Ok(pool),
            None => Err(StoreError::unavailable("the file is not open")),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.files.leave(self.tenant, &self.file);
    }
}
