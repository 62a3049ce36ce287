//! What deliveries of providers are verified with: a secret for each source, and the one before it for a while.

use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    WEBHOOK_SOURCE_ALL (0) = "
        SELECT source, secret_sealed, set_at_ms, previous_sealed, previous_until_ms
        FROM webhook_source ORDER BY source";
    WEBHOOK_SOURCE_UPDATE (5) = "
        UPDATE webhook_source
        SET secret_sealed = $2, set_at_ms = $3, previous_sealed = $4, previous_until_ms = $5 WHERE source = $1";
    WEBHOOK_SOURCE_INSERT (3) = "
        INSERT INTO webhook_source (source, secret_sealed, set_at_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    WEBHOOK_SOURCE_REMOVE (1) = "DELETE FROM webhook_source WHERE source = $1";
}

/// A source as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSourceRow {
    /// Its name.
    pub source: String,
    /// The secret in force, sealed.
    pub secret_sealed: Vec<u8>,
    /// Since when.
    pub set_at_ms: UnixMs,
    /// The one before it, sealed, and until when it is good.
    pub previous: Option<(Vec<u8>, UnixMs)>,
}

impl TryFrom<Row> for WebhookSourceRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let (sealed, until): (Option<Vec<u8>>, Option<i64>) =
            (row.get("previous_sealed")?, row.get("previous_until_ms")?);
        Ok(Self {
            source: row.get("source")?,
            secret_sealed: row.get("secret_sealed")?,
            set_at_ms: UnixMs::new(row.get("set_at_ms")?),
            previous: sealed.zip(until.map(UnixMs::new)),
        })
    }
}

/// All sources that the tenant has set, by name: at most as many as are known.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<WebhookSourceRow>, StoreError> {
    tx.fetch_all(WEBHOOK_SOURCE_ALL, args![]).await
}

/// Adds a source. `false` when it is there.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(
    tx: &mut TenantTx,
    source: &str,
    secret_sealed: &[u8],
    set_at_ms: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(WEBHOOK_SOURCE_INSERT, args![source, secret_sealed, set_at_ms]).await? == 1)
}

/// Writes a source that is there.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn update(tx: &mut TenantTx, row: &WebhookSourceRow) -> Result<(), StoreError> {
    let (previous, until) = row.previous.as_ref().map(|(sealed, until)| (sealed.as_slice(), *until)).unzip();
    let args = args![row.source.as_str(), row.secret_sealed.as_slice(), row.set_at_ms, previous, until];
    tx.execute(WEBHOOK_SOURCE_UPDATE, args).await?;
    Ok(())
}

/// Takes a source away. `false` when there was none.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn remove(tx: &mut TenantTx, source: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(WEBHOOK_SOURCE_REMOVE, args![source]).await? == 1)
}
