//! The rate limits that a tenant has instead of the defaults.

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    RATE_LIMIT_ALL (0) = "SELECT tier, burst, period_ms FROM rate_limit ORDER BY tier";
    RATE_LIMIT_UPDATE (3) = "UPDATE rate_limit SET burst = $2, period_ms = $3 WHERE tier = $1";
    RATE_LIMIT_INSERT (3) = "
        INSERT INTO rate_limit (tier, burst, period_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    RATE_LIMIT_REMOVE (1) = "DELETE FROM rate_limit WHERE tier = $1";
}

/// A tier's limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitRow {
    /// The tier's name.
    pub tier: String,
    /// How many requests at once.
    pub burst: i64,
    /// In how long as many are allowed again.
    pub period_ms: i64,
}

impl TryFrom<Row> for RateLimitRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self { tier: row.get("tier")?, burst: row.get("burst")?, period_ms: row.get("period_ms")? })
    }
}

/// All limits of the tenant's own, by tier: at most as many as there are tiers.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<RateLimitRow>, StoreError> {
    tx.fetch_all(RATE_LIMIT_ALL, args![]).await
}

/// Sets the limit of its tier.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn set(tx: &mut TenantTx, limit: &RateLimitRow) -> Result<(), StoreError> {
    let args = || args![limit.tier.as_str(), limit.burst, limit.period_ms];
    if tx.execute(RATE_LIMIT_UPDATE, args()).await? == 0 && tx.execute(RATE_LIMIT_INSERT, args()).await? == 0 {
        tx.execute(RATE_LIMIT_UPDATE, args()).await?; // a rival inserted in between
    }
    Ok(())
}

/// Goes back to the default. `false` when it was that.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn remove(tx: &mut TenantTx, tier: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(RATE_LIMIT_REMOVE, args![tier]).await? == 1)
}
