//! The store: opens one engine and begins transactions on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use freehold_domain::id::TenantId;
use freehold_domain::secret::Secret;

use crate::directory;
use crate::error::{OpenError, StoreError};
use crate::postgres::Cluster;
use crate::sqlite::DataDir;
use crate::tenant_tx::{Engine, Isolation, KeysTx, Mode, Place, SystemTx, TenantTx, Tx};

/// How to open a folder of SQLite files.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The folder; made when there is none.
    pub data_dir: PathBuf,
    /// How many tenants' files may be open at once; at least one.
    pub open_files_max: usize,
}

/// How to open a PostgreSQL database.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database` of the role that the server runs with.
    pub url: Secret<String>,
    /// What stands between the server and the database.
    pub pooler: Pooler,
    /// How many connections are held at most.
    pub connections_max: u32,
}

/// A connection pooler before the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooler {
    /// A direct connection, whose statements stay prepared.
    #[default]
    None,
    /// A pooler that gives a server connection for one transaction, such as PgBouncer with `pool_mode = transaction`.
    Transaction,
}

/// A store of tenants. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Arc<Engine>,
    begun: AtomicU64,
}

impl Store {
    /// Opens a folder of SQLite files, and makes what is missing of it at a first start.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_sqlite(options: SqliteOptions) -> Result<Self, OpenError> {
        Ok(Self::new(Engine::Sqlite(DataDir::open(options.data_dir, options.open_files_max).await?)))
    }

    /// Opens a PostgreSQL database whose schema is up to date, as a role that row-level security binds.
    ///
    /// # Errors
    /// [`OpenError`]: each reason not to serve the database is a variant of its own.
    pub async fn open_postgres(options: PostgresOptions) -> Result<Self, OpenError> {
        Ok(Self::new(Engine::Postgres(Cluster::open(&options).await?)))
    }

    fn new(engine: Engine) -> Self {
        Self(Arc::new(Inner { engine: Arc::new(engine), begun: AtomicU64::new(0) }))
    }

    /// Begins to read the tenant's store.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the tenant has none (SQLite); any [`StoreError`].
    pub async fn read(&self, tenant: TenantId) -> Result<TenantTx, StoreError> {
        self.begin(Place::Tenant(tenant), Mode::Read).await
    }

    /// Begins to write the tenant's store. On SQLite the write lock is held from here on.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn write(&self, tenant: TenantId) -> Result<TenantTx, StoreError> {
        self.begin(Place::Tenant(tenant), Mode::Write).await
    }

    /// Begins to read the system store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn system_read(&self) -> Result<SystemTx, StoreError> {
        self.begin(Place::System(None), Mode::Read).await
    }

    /// Begins to write the system store, for no tenant in particular: without a row of `change`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn system_write(&self) -> Result<SystemTx, StoreError> {
        self.begin(Place::System(None), Mode::Write).await
    }

    /// Begins to write the system store about `tenant`: a change appended in it is that tenant's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn system_write_for(&self, tenant: TenantId) -> Result<SystemTx, StoreError> {
        self.begin(Place::System(Some(tenant)), Mode::Write).await
    }

    /// Begins to read the keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys_read(&self) -> Result<KeysTx, StoreError> {
        self.begin(Place::Keys, Mode::Read).await
    }

    /// Begins to write the keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys_write(&self) -> Result<KeysTx, StoreError> {
        self.begin(Place::Keys, Mode::Write).await
    }

    /// Makes an empty store for a new tenant: durable, whole or not at all. Call it before the tenant is in the
    /// directory. On PostgreSQL there is nothing to do.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the tenant has one, which is left as it is; any [`StoreError`].
    pub async fn create_tenant_store(&self, tenant: TenantId) -> Result<(), StoreError> {
        self.0.engine.create_tenant(tenant).await
    }

    /// Lets go of what is kept open for the tenant, once nobody uses it: with the last of the transactions under way, none
    /// of which notices. The next one opens it again.
    pub async fn close_tenant(&self, tenant: TenantId) {
        self.0.engine.close_tenant(tenant).await;
    }

    /// Ends the store once its transactions have ended; later ones are [`StoreError::Unavailable`].
    pub async fn close(&self) {
        self.0.engine.close().await;
    }

    /// Asks the system store for one row, to see that it answers. Not counted in [`Store::transactions_begun`].
    ///
    /// # Errors
    /// [`StoreError`], after [`crate::STORE_TIMEOUT`] at the latest.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut tx = Tx::begin(&self.0.engine, Place::System(None), Mode::Read).await?;
        directory::probe(&mut tx).await
    }

    /// What keeps tenants apart, looked at now: the engine's own word for it. Not counted in
    /// [`Store::transactions_begun`].
    ///
    /// # Errors
    /// [`StoreError`], when nobody can say.
    pub async fn isolation(&self) -> Result<Isolation, StoreError> {
        self.0.engine.isolation().await
    }

    /// `sqlite` or `postgresql`.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        self.0.engine.name()
    }

    /// Whether other processes may write to this store, and announce it in the change feed.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.engine.is_shared()
    }

    /// How many transactions were begun since the store was opened.
    #[must_use]
    pub fn transactions_begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// How many connections one tenant's transactions have at most; `None` where each tenant has a file of its own.
    #[must_use]
    pub fn connections_of_one_max(&self) -> Option<usize> {
        self.0.engine.shares().map(|(max, _)| max)
    }

    /// How many transactions were refused because their tenant had its share of the connections for as long as they waited.
    #[must_use]
    pub fn refused_their_share(&self) -> u64 {
        self.0.engine.shares().map_or(0, |(_, refused)| refused)
    }

    /// How many tenants' files are open; zero on PostgreSQL.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.0.engine.open_files()
    }

    async fn begin<Of>(&self, place: Place, mode: Mode) -> Result<Tx<Of>, StoreError> {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Tx::begin(&self.0.engine, place, mode).await
    }
}
