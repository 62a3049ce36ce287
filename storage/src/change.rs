//! What was changed and must be known to whoever holds a copy in memory: revocations, epochs, keys, tenant states.
//!
//! A row is written in the transaction that makes it true. Sequence numbers grow, but a transaction may commit a smaller
//! one after a greater.
//!
//! On SQLite a tenant's store holds what was changed in it, and the system store what was changed about tenants; on
//! PostgreSQL a tenant's rows are together.

use freehold_domain::time::UnixMs;
use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{HasChanges, Row, TenantTx, Tx};

queries! {
    CHANGE_APPEND (4) = "INSERT INTO change (kind, subject, value, at_ms) VALUES ($1, $2, $3, $4)";
    CHANGE_SINCE (3) = "
        SELECT seq, kind, subject, value, at_ms FROM change WHERE at_ms >= $1 AND seq > $2 ORDER BY seq LIMIT $3";
    CHANGE_SWEEP (2) = "
        DELETE FROM change WHERE seq IN (SELECT seq FROM change WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)";
}

/// A change to announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'k> {
    /// What kind of change; a short constant word.
    pub kind: &'k str,
    /// Who or what was changed: a family, a member, a key, a tenant.
    pub subject: Uuid,
    /// What it is now: an epoch, a point in time; by kind.
    pub value: i64,
    /// When.
    pub at_ms: UnixMs,
}

/// A change that was announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
    /// Its place in the order.
    pub seq: i64,
    /// What kind of change.
    pub kind: String,
    /// Who or what was changed.
    pub subject: Uuid,
    /// What it is now.
    pub value: i64,
    /// When.
    pub at_ms: UnixMs,
}

impl TryFrom<Row> for ChangeRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.get("seq")?,
            kind: row.get("kind")?,
            subject: row.get("subject")?,
            value: row.get("value")?,
            at_ms: UnixMs::new(row.get("at_ms")?),
        })
    }
}

/// Announces a change, once this transaction commits. A transaction on the system store must have been begun for the
/// tenant that it concerns.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn append<Of: HasChanges>(tx: &mut Tx<Of>, change: Change<'_>) -> Result<(), StoreError> {
    tx.execute(CHANGE_APPEND, args![change.kind, change.subject, change.value, change.at_ms]).await?;
    Ok(())
}

/// The tenant's next `limit` changes made at `since` or later and numbered above `after_seq`, in order.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn since(tx: &mut TenantTx, since: UnixMs, after_seq: i64, limit: u32) -> Result<Vec<ChangeRow>, StoreError> {
    tx.fetch_all(CHANGE_SINCE, args![since, after_seq, i64::from(limit)]).await
}

/// Deletes up to `limit` changes made before `before`; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep<Of: HasChanges>(tx: &mut Tx<Of>, before: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(CHANGE_SWEEP, args![before, i64::from(limit)]).await
}
