//! What an operator asks of a PostgreSQL server besides its rows: what time it is there.

use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use crate::error::{OpenError, StoreError};
use crate::postgres;
use crate::tenant_tx::STORE_TIMEOUT;

const CLOCK: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// What the database's clock says.
///
/// # Errors
/// [`OpenError`]
pub async fn clock(url: &Secret<String>) -> Result<UnixMs, OpenError> {
    let options = postgres::options(url)?;
    let asked = async {
        let mut connection = options.connect().await?;
        let told = sqlx::query(CLOCK).persistent(false).fetch_one(&mut connection).await?.try_get(0)?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(UnixMs::new(told))
    };
    tokio::time::timeout(STORE_TIMEOUT, asked).await.map_err(StoreError::unavailable)?.map_err(OpenError::from)
}
