//! Which tenants have something that is due, of all tenants of a PostgreSQL database.
//!
//! Like the change feed this reads across tenants, through functions of the owner's that answer tenants and nothing else. On
//! SQLite each tenant is a file of its own, and what it has is found by asking it.

use freehold_domain::id::TenantId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::{Sql, queries};
use crate::tenant_tx::{Row, SystemTx};

queries! {
    MAIL_DUE (2) = "SELECT tenant FROM freehold_mail_due($1, $2)";
    INBOX_DUE (2) = "SELECT tenant FROM freehold_inbox_due($1, $2)";
    WEBHOOKS_DUE (2) = "SELECT tenant FROM freehold_webhooks_due($1, $2)";
    INTEGRATIONS_DUE (2) = "SELECT tenant FROM freehold_integrations_due($1, $2)";
}

/// What may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Letters to be sent.
    Letters,
    /// Received events that wait for their effect.
    Events,
    /// Messages to endpoints, or events that nobody has looked at for that.
    Messages,
    /// Tokens of integrations to be refreshed.
    Tokens,
}

impl Due {
    const fn query(self) -> Sql<2> {
        match self {
            Self::Letters => MAIL_DUE,
            Self::Events => INBOX_DUE,
            Self::Messages => WEBHOOKS_DUE,
            Self::Tokens => INTEGRATIONS_DUE,
        }
    }
}

struct Tenant(TenantId);

impl TryFrom<Row> for Tenant {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(TenantId::from_uuid(row.get("tenant")?)))
    }
}

/// Up to `limit` tenants with some of that which is due at `now`, in no order; none where the store is not shared.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn tenants(tx: &mut SystemTx, due: Due, now: UnixMs, limit: u32) -> Result<Vec<TenantId>, StoreError> {
    if !tx.is_shared() {
        return Ok(Vec::new());
    }
    let tenants: Vec<Tenant> = tx.fetch_all(due.query(), args![now, i64::from(limit)]).await?;
    Ok(tenants.into_iter().map(|Tenant(tenant)| tenant).collect())
}
