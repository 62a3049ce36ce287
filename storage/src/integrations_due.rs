//! Which tenants have tokens of integrations to refresh, of all tenants of a PostgreSQL database.
//!
//! Like the change feed this reads across tenants, through a function of the owner's that answers tenants and nothing
//! else. On SQLite each tenant is a file of its own, and its tokens are found by asking it.

use freehold_domain::id::TenantId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, SystemTx};

queries! {
    INTEGRATIONS_DUE (2) = "SELECT tenant FROM freehold_integrations_due($1, $2)";
}

struct Due(TenantId);

impl TryFrom<Row> for Due {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(TenantId::from_uuid(row.get("tenant")?)))
    }
}

/// Up to `limit` tenants with a token that is to be refreshed at `now`, in no order; none where the store is not shared.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn tenants(tx: &mut SystemTx, now: UnixMs, limit: u32) -> Result<Vec<TenantId>, StoreError> {
    if !tx.is_shared() {
        return Ok(Vec::new());
    }
    let due: Vec<Due> = tx.fetch_all(INTEGRATIONS_DUE, args![now, i64::from(limit)]).await?;
    Ok(due.into_iter().map(|Due(tenant)| tenant).collect())
}
