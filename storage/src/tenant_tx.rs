//! Transactions: the one place that knows which engine is underneath.
//!
//! A transaction opens for one place: a tenant's store, the system store or the keys. On SQLite that is a file; on
//! PostgreSQL the message that begins the transaction names the tenant, for row-level security, and the schema.
//! Dropping a transaction rolls it back. All of it, waiting for a connection included, must be done in
//! [`STORE_TIMEOUT`].

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use freehold_domain::id::TenantId;
use sqlx::{ColumnIndex, Decode, Postgres, Sqlite, Transaction, Type};
use tokio::time::{Instant, timeout_at};

use crate::error::{OpenError, StoreError};
use crate::postgres::{Cluster, Share};
use crate::sql::{Sql, Value};
use crate::sqlite::{DataDir, Lease};

/// How long a transaction may take, from the wait for a connection to the commit.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// Marks transactions on one tenant's store.
#[derive(Debug)]
pub enum Tenant {}

/// Marks transactions on the system store: the directory of tenants and what was changed about them.
#[derive(Debug)]
pub enum System {}

/// Marks transactions on the keys.
#[derive(Debug)]
pub enum Keys {}

/// A place that has a table `change`.
pub trait HasChanges {}
impl HasChanges for Tenant {}
impl HasChanges for System {}

/// A transaction on one tenant's store: no statement in it can reach another tenant's rows.
pub type TenantTx = Tx<Tenant>;
/// A transaction on the system store.
pub type SystemTx = Tx<System>;
/// A transaction on the keys.
pub type KeysTx = Tx<Keys>;

/// Where a transaction runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Tenant(TenantId),
    /// With the tenant that it concerns, if it is one.
    System(Option<TenantId>),
    Keys,
}

/// Whether a transaction may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    Write,
}

/// What keeps the tenants of a store apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Each tenant has a file of its own.
    Files,
    /// Forced row-level security, which binds the role of the server.
    RowLevelSecurity {
        /// Why it does not hold.
        fault: Option<String>,
    },
}

/// The engine of a store.
#[derive(Debug)]
pub(crate) enum Engine {
    Sqlite(DataDir),
    Postgres(Cluster),
}

impl Engine {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }

    pub(crate) async fn isolation(&self) -> Result<Isolation, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(Isolation::Files),
            Self::Postgres(cluster) => match cluster.check().await {
                Ok(()) => Ok(Isolation::RowLevelSecurity { fault: None }),
                Err(OpenError::Store(error)) => Err(error),
                Err(fault) => Ok(Isolation::RowLevelSecurity { fault: Some(fault.to_string()) }),
            },
        }
    }

    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(crate) async fn create_tenant(&self, tenant: TenantId) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(dir) => dir.create_tenant(tenant).await,
            Self::Postgres(_) => Ok(()),
        }
    }

    pub(crate) async fn close_tenant(&self, tenant: TenantId) {
        match self {
            Self::Sqlite(dir) => dir.close_tenant(tenant).await,
            Self::Postgres(_) => {}
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(dir) => dir.close().await,
            Self::Postgres(cluster) => cluster.close().await,
        }
    }

    pub(crate) fn open_files(&self) -> usize {
        match self {
            Self::Sqlite(dir) => dir.open_files(),
            Self::Postgres(_) => 0,
        }
    }

    /// Waits until the place's tenant may have one of the connections, where tenants share them. Nothing is left of a wait that
    /// is cut off.
    async fn share(&self, place: Place, deadline: Instant) -> Result<Option<Share>, StoreError> {
        match (self, place) {
            (Self::Postgres(cluster), Place::Tenant(tenant)) => cluster.shares().take(tenant, deadline).await.map(Some),
            (Self::Postgres(_), Place::System(_) | Place::Keys) | (Self::Sqlite(_), _) => Ok(None),
        }
    }

    /// How many connections one tenant has at most, and how often one was refused for that; `None` where each has a file of
    /// its own.
    pub(crate) fn shares(&self) -> Option<(usize, u64)> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(cluster) => Some((cluster.shares().each_max(), cluster.shares().refused())),
        }
    }

    async fn begin(&self, place: Place, mode: Mode, share: Option<Share>) -> Result<Inner, StoreError> {
        Ok(match self {
            Self::Sqlite(dir) => {
                let (tx, lease) = dir.begin(place, mode).await?;
                Inner::Sqlite { tx, _lease: lease }
            }
            Self::Postgres(cluster) => {
                let (tx, persistent) = (cluster.begin(place, mode).await?, cluster.persistent());
                Inner::Postgres { tx, persistent, _share: share }
            }
        })
    }
}

/// An open transaction at the place `Of`. Dropped without [`Tx::commit`], it leaves no trace.
///
/// After an error, or when the future of a statement was dropped before its end, every later call answers
/// [`StoreError::Poisoned`].
#[derive(Debug)]
pub struct Tx<Of> {
    inner: Inner,
    poisoned: bool,
    deadline: Instant,
    afterwards: Afterwards,
    of: PhantomData<fn() -> Of>,
}

/// What is done once a transaction is committed.
#[derive(Default)]
struct Afterwards(Vec<Box<dyn FnOnce() + Send + Sync>>);

impl fmt::Debug for Afterwards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} afterwards", self.0.len())
    }
}

impl<Of> Tx<Of> {
    /// Begins in a task of its own: a `begin` that is cut off would leave its connection inside a transaction.
    pub(crate) async fn begin(engine: &Arc<Engine>, place: Place, mode: Mode) -> Result<Self, StoreError> {
        let deadline = Instant::now() + STORE_TIMEOUT;
        let share = engine.share(place, deadline).await?;
        let engine = Arc::clone(engine);
        let begun = tokio::spawn(async move { engine.begin(place, mode, share).await });
        let joined = timeout_at(deadline, begun).await.map_err(StoreError::unavailable)?;
        let inner = joined.map_err(StoreError::unavailable)??;
        Ok(Self { inner, poisoned: false, deadline, afterwards: Afterwards::default(), of: PhantomData })
    }

    /// The first row, if there is one. A statement that writes writes all its rows all the same.
    ///
    /// # Errors
    /// [`StoreError`]; the transaction is lost.
    pub async fn fetch_optional<T, const N: usize>(
        &mut self,
        sql: Sql<N>,
        args: [Value; N],
    ) -> Result<Option<T>, StoreError>
    where
        T: TryFrom<Row, Error = StoreError>,
    {
        self.enter(sql)?;
        let row = timeout_at(self.deadline, self.inner.fetch_optional(sql, args)).await;
        let answer = row.map_err(StoreError::unavailable)??.map(T::try_from).transpose()?;
        self.leave();
        Ok(answer)
    }

    /// All rows. The statement must bound their number.
    ///
    /// # Errors
    /// [`StoreError`]; the transaction is lost.
    pub async fn fetch_all<T, const N: usize>(&mut self, sql: Sql<N>, args: [Value; N]) -> Result<Vec<T>, StoreError>
    where
        T: TryFrom<Row, Error = StoreError>,
    {
        self.enter(sql)?;
        let rows = timeout_at(self.deadline, self.inner.fetch_all(sql, args)).await;
        let answer = rows.map_err(StoreError::unavailable)??.into_iter().map(T::try_from).collect::<Result<_, _>>()?;
        self.leave();
        Ok(answer)
    }

    /// How many rows were written.
    ///
    /// # Errors
    /// [`StoreError`]; the transaction is lost.
    pub async fn execute<const N: usize>(&mut self, sql: Sql<N>, args: [Value; N]) -> Result<u64, StoreError> {
        self.enter(sql)?;
        let rows = timeout_at(self.deadline, self.inner.execute(sql, args)).await;
        let answer = rows.map_err(StoreError::unavailable)??;
        self.leave();
        Ok(answer)
    }

    /// Makes all that was written durable and seen by others.
    ///
    /// # Errors
    /// It is unknown whether it was when [`StoreError::leaves_doubt`]; otherwise nothing was written.
    pub async fn commit(self) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        let committed = timeout_at(self.deadline, self.inner.commit()).await;
        let committed = committed.map_err(StoreError::unavailable).and_then(|committed| Ok(committed?));
        if committed.as_ref().err().is_none_or(StoreError::leaves_doubt) {
            self.afterwards.0.into_iter().for_each(|then| then());
        }
        committed
    }

    /// Has `then` called once this transaction is committed, or nobody knows whether it is. It must not wait.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + Sync + 'static) {
        self.afterwards.0.push(Box::new(then));
    }

    /// Whether other processes may serve the same store.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self.inner, Inner::Postgres { .. })
    }

    /// Poisoned from here until [`Tx::leave`]: an error or a dropped future never comes to it.
    fn enter<const N: usize>(&mut self, sql: Sql<N>) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        self.poisoned = true;
        tracing::trace!(sql.text = sql.text());
        Ok(())
    }

    const fn leave(&mut self) {
        self.poisoned = false;
    }
}

/// The transaction of the engine. The lease is dropped last: its file stays open until then; and so is the tenant's share of
/// the connections.
#[derive(Debug)]
enum Inner {
    Sqlite { tx: Transaction<'static, Sqlite>, _lease: Option<Lease> },
    Postgres { tx: Transaction<'static, Postgres>, persistent: bool, _share: Option<Share> },
}

/// The query of `$sql` with its arguments bound, for whichever engine runs it.
macro_rules! bound {
    ($sql:expr, $args:expr) => {
        $args.into_iter().fold(sqlx::query($sql.text()), |query, value| match value {
            Value::Uuid(id) => query.bind(id),
            Value::Int(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
        })
    };
}

impl Inner {
    async fn fetch_optional<const N: usize>(
        &mut self,
        sql: Sql<N>,
        args: [Value; N],
    ) -> Result<Option<Row>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite { tx, .. } => bound!(sql, args).fetch_optional(&mut **tx).await?.map(Row::Sqlite),
            Self::Postgres { tx, persistent, .. } => {
                bound!(sql, args).persistent(*persistent).fetch_optional(&mut **tx).await?.map(Row::Postgres)
            }
        })
    }

    async fn fetch_all<const N: usize>(&mut self, sql: Sql<N>, args: [Value; N]) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite { tx, .. } => {
                bound!(sql, args).fetch_all(&mut **tx).await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres { tx, persistent, .. } => {
                let rows = bound!(sql, args).persistent(*persistent).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    async fn execute<const N: usize>(&mut self, sql: Sql<N>, args: [Value; N]) -> Result<u64, sqlx::Error> {
        Ok(match self {
            Self::Sqlite { tx, .. } => bound!(sql, args).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres { tx, persistent, .. } => {
                bound!(sql, args).persistent(*persistent).execute(&mut **tx).await?.rows_affected()
            }
        })
    }

    async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite { tx, .. } => tx.commit().await,
            Self::Postgres { tx, .. } => tx.commit().await,
        }
    }
}

/// A row of an answer.
#[derive(Debug)]
pub enum Row {
    /// From a file.
    #[doc(hidden)]
    Sqlite(sqlx::sqlite::SqliteRow),
    /// From a server.
    #[doc(hidden)]
    Postgres(sqlx::postgres::PgRow),
}

impl Row {
    /// The value of the column `name`.
    ///
    /// # Errors
    /// [`StoreError::Defect`] when there is no such column or its value is of another type.
    pub fn get<T: Cell>(&self, name: &str) -> Result<T, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => get(row, name)?,
            Self::Postgres(row) => get(row, name)?,
        })
    }
}

fn get<'r, R, T>(row: &'r R, name: &str) -> Result<T, sqlx::Error>
where
    R: sqlx::Row,
    for<'n> &'n str: ColumnIndex<R>,
    T: Decode<'r, R::Database> + Type<R::Database>,
{
    row.try_get(name)
}

/// What a column can be read as, on both engines.
pub trait Cell: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> {}
impl<T> Cell for T where T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> {}
