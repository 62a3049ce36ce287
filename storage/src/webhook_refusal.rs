//! Deliveries that were refused: for each provider and cause how often, when last, and which request that was.

use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    WEBHOOK_REFUSAL_AGAIN (6) = "
        UPDATE webhook_refusal SET detail = $3, request_id = $4, times = times + $5, last_seen_at_ms = $6
        WHERE provider = $1 AND cause = $2";
    WEBHOOK_REFUSAL_INSERT (6) = "
        INSERT INTO webhook_refusal (provider, cause, detail, request_id, times, first_seen_at_ms, last_seen_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT DO NOTHING";
    WEBHOOK_REFUSAL_ALL (0) = "
        SELECT provider, cause, detail, request_id, times, first_seen_at_ms, last_seen_at_ms
        FROM webhook_refusal ORDER BY last_seen_at_ms DESC, provider, cause";
    WEBHOOK_REFUSAL_SWEEP (1) = "DELETE FROM webhook_refusal WHERE last_seen_at_ms <= $1";
}

/// Refusals for one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRefusalRow {
    /// Of whose deliveries.
    pub provider: String,
    /// Why, in a word.
    pub cause: String,
    /// Why the last one was, in words.
    pub detail: String,
    /// Which request the last one was.
    pub request_id: String,
    /// How often.
    pub times: i64,
    /// When first.
    pub first_seen_at_ms: UnixMs,
    /// When last.
    pub last_seen_at_ms: UnixMs,
}

impl TryFrom<Row> for WebhookRefusalRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            provider: row.get("provider")?,
            cause: row.get("cause")?,
            detail: row.get("detail")?,
            request_id: row.get("request_id")?,
            times: row.get("times")?,
            first_seen_at_ms: UnixMs::new(row.get("first_seen_at_ms")?),
            last_seen_at_ms: UnixMs::new(row.get("last_seen_at_ms")?),
        })
    }
}

/// Adds so many refusals of which this is the last one; when first is what is known of that already.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn add(tx: &mut TenantTx, last: &WebhookRefusalRow) -> Result<(), StoreError> {
    let args = || {
        let WebhookRefusalRow { provider, cause, detail, request_id, times, last_seen_at_ms, .. } = last;
        args![provider.as_str(), cause.as_str(), detail.as_str(), request_id.as_str(), *times, *last_seen_at_ms]
    };
    if tx.execute(WEBHOOK_REFUSAL_AGAIN, args()).await? == 0 && tx.execute(WEBHOOK_REFUSAL_INSERT, args()).await? == 0 {
        tx.execute(WEBHOOK_REFUSAL_AGAIN, args()).await?; // a rival inserted in between
    }
    Ok(())
}

/// All of them, the last one first: at most one for each provider and cause.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<WebhookRefusalRow>, StoreError> {
    tx.fetch_all(WEBHOOK_REFUSAL_ALL, args![]).await
}

/// Deletes what has not been seen since `until`.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, until: UnixMs) -> Result<u64, StoreError> {
    tx.execute(WEBHOOK_REFUSAL_SWEEP, args![until]).await
}
