//! The change feed: what the other nodes of a PostgreSQL deployment have changed, of all tenants.
//!
//! This is the one read across tenants. The runtime role may not make it: it calls a function of the owner's, which
//! answers these six columns and nothing else. On SQLite one process owns the store, and there is nothing to follow.

use freehold_domain::id::TenantId;
use freehold_domain::time::UnixMs;
use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, SystemTx};

queries! {
    FEED_AFTER (3) = "SELECT seq, tenant, kind, subject, value, at_ms FROM freehold_changes_after($1, $2, $3)";
}

/// A change of some tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedRow {
    /// Its place in the order, over all tenants.
    pub seq: i64,
    /// Whose it is.
    pub tenant: TenantId,
    /// What kind of change.
    pub kind: String,
    /// Who or what was changed.
    pub subject: Uuid,
    /// What it is now.
    pub value: i64,
    /// When.
    pub at_ms: UnixMs,
}

impl TryFrom<Row> for FeedRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.get("seq")?,
            tenant: TenantId::from_uuid(row.get("tenant")?),
            kind: row.get("kind")?,
            subject: row.get("subject")?,
            value: row.get("value")?,
            at_ms: UnixMs::new(row.get("at_ms")?),
        })
    }
}

/// Up to `limit` changes numbered above `after_seq`, *and* those made at `since` or later, whatever their number, in
/// order. A smaller number may be committed after a greater one, so pass a `since` some seconds back and skip what is
/// known. When `limit` rows come, ask for the next with the last number and [`UnixMs::MAX`].
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn changes_after(
    tx: &mut SystemTx,
    after_seq: i64,
    since: UnixMs,
    limit: u32,
) -> Result<Vec<FeedRow>, StoreError> {
    if !tx.is_shared() {
        return Ok(Vec::new());
    }
    tx.fetch_all(FEED_AFTER, args![after_seq, since, i64::from(limit)]).await
}
