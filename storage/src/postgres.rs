//! PostgreSQL: one database for all tenants, kept apart by row-level security.

mod checks;
mod shares;
mod transport;

use std::sync::Arc;

use freehold_domain::secret::Secret;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool, Postgres, Transaction};

pub(crate) use self::shares::{Share, Shares};
pub use self::transport::{Transport, transport};
use crate::error::{OpenError, StoreError};
use crate::store::{Pooler, PostgresOptions};
use crate::tenant_tx::{Mode, Place, STORE_TIMEOUT};

/// A database and the connections to it.
#[derive(Debug)]
pub(crate) struct Cluster {
    pool: PgPool,
    pooler: Pooler,
    shares: Arc<Shares>,
}

impl Cluster {
    /// Connects, and refuses a role or a schema that would not keep tenants apart.
    pub(crate) async fn open(options: &PostgresOptions) -> Result<Self, OpenError> {
        let connections_max = options.connections_max.max(1);
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(STORE_TIMEOUT)
            .test_before_acquire(false)
            .connect_lazy_with(self::options(&options.url)?);
        let shares = Arc::new(Shares::of(connections_max));
        let cluster = Self { pool, pooler: options.pooler, shares };
        let checked = cluster.check().await;
        if checked.is_err() {
            cluster.close().await;
        }
        checked.map(|()| cluster)
    }

    /// Whether the role and the schema keep tenants apart, now.
    pub(crate) async fn check(&self) -> Result<(), OpenError> {
        let tx = self.begin(Place::System(None), Mode::Read).await?;
        checks::run(tx, self.persistent()).await
    }

    /// What each tenant may have of the connections.
    pub(crate) const fn shares(&self) -> &Arc<Shares> {
        &self.shares
    }

    /// Whether statements stay prepared. Behind a pooler a connection's next transaction may meet another server
    /// process, which does not know them.
    pub(crate) const fn persistent(&self) -> bool {
        matches!(self.pooler, Pooler::None)
    }

    /// Begins and says in the same message where, and how long a statement, or the wait for the next one, may take: a
    /// process that stands still keeps no row locked. Must run to its end: see [`crate::tenant_tx::Tx::begin`].
    #[expect(
        clippy::disallowed_methods,
        reason = "SET takes no parameters; the one variable part is a UUID, which prints as hexadecimal digits and dashes"
    )]
    pub(crate) async fn begin(&self, place: Place, mode: Mode) -> Result<Transaction<'static, Postgres>, StoreError> {
        let (schema, tenant) = match place {
            Place::Tenant(tenant) => ("public", Some(tenant)),
            Place::System(tenant) => ("public", tenant),
            Place::Keys => ("keys", None),
        };
        let access = match mode {
            Mode::Read => "READ ONLY",
            Mode::Write => "READ WRITE",
        };
        let timeout_ms = STORE_TIMEOUT.as_millis();
        let context = tenant.map_or(String::new(), |tenant| format!("; SET LOCAL app.tenant = '{tenant}'"));
        let text = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED {access}; SET LOCAL search_path = {schema}, pg_temp; \
             SET LOCAL statement_timeout = {timeout_ms}; \
             SET LOCAL idle_in_transaction_session_timeout = {timeout_ms}{context}"
        );
        // When the server has gone and come back, every idle connection is dead, and each is found out by using it.
        let mut dead_max = self.pool.size();
        loop {
            match self.pool.begin_with(sqlx::AssertSqlSafe(text.clone())).await {
                Err(error) if dead_max > 0 && is_lost(&error) => dead_max -= 1,
                begun => return Ok(begun?),
            }
        }
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Whether the connection is gone, and with it whatever it had begun.
fn is_lost(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(error, sqlx::Error::Io(_)) || code.is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
}

/// How to connect to `url`, directly or through a pooler.
pub(crate) fn options(url: &Secret<String>) -> Result<PgConnectOptions, OpenError> {
    let options = transport::protected(url)?;
    // A pooler refuses a parameter that it does not track.
    Ok(options.application_name("freehold").extra_float_digits(None).disable_statement_logging())
}
