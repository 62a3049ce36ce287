//! What browsers reported of a tenant's pages: each sort of violation once.

use freehold_domain::id::CspReportId;
use freehold_domain::time::UnixMs;
use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    CSP_REPORT_AGAIN (2) = "
        UPDATE csp_report SET times = times + 1, last_seen_at_ms = $2 WHERE report_key = $1";
    CSP_REPORT_INSERT (5) = "
        INSERT INTO csp_report (id, report_key, report_sealed, times, first_seen_at_ms, last_seen_at_ms)
        SELECT $1, $2, $3, 1, $4, $4 WHERE (SELECT COUNT(*) FROM csp_report) < $5
        ON CONFLICT DO NOTHING";
    CSP_REPORT_EVICT (0) = "
        DELETE FROM csp_report WHERE id IN
            (SELECT id FROM csp_report ORDER BY times, last_seen_at_ms, id LIMIT 1)";
    CSP_REPORT_PAGE (2) = "
        SELECT id, report_sealed, times, first_seen_at_ms, last_seen_at_ms
        FROM csp_report WHERE id > $1 ORDER BY id LIMIT $2";
    CSP_REPORT_DELETE_ALL (0) = "DELETE FROM csp_report";
    CSP_REPORT_SWEEP (2) = "
        DELETE FROM csp_report WHERE id IN
            (SELECT id FROM csp_report WHERE last_seen_at_ms <= $1 ORDER BY last_seen_at_ms LIMIT $2)";
}

/// A sort of violation as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CspReportRow {
    /// Which.
    pub id: CspReportId,
    /// What was reported, sealed.
    pub report_sealed: Vec<u8>,
    /// How often.
    pub times: i64,
    /// When first.
    pub first_seen_at_ms: UnixMs,
    /// When last.
    pub last_seen_at_ms: UnixMs,
}

impl TryFrom<Row> for CspReportRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: CspReportId::from_uuid(row.get("id")?),
            report_sealed: row.get("report_sealed")?,
            times: row.get("times")?,
            first_seen_at_ms: UnixMs::new(row.get("first_seen_at_ms")?),
            last_seen_at_ms: UnixMs::new(row.get("last_seen_at_ms")?),
        })
    }
}

/// Counts a sort of violation that is known. `false` when it is not.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn again(tx: &mut TenantTx, report_key: &[u8], now: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(CSP_REPORT_AGAIN, args![report_key, now]).await? == 1)
}

/// Adds a sort of violation while the tenant has fewer than `kept_max`. `false` when it has not, or a rival was first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(
    tx: &mut TenantTx,
    id: CspReportId,
    report_key: &[u8],
    report_sealed: &[u8],
    now: UnixMs,
    kept_max: i64,
) -> Result<bool, StoreError> {
    Ok(tx.execute(CSP_REPORT_INSERT, args![id, report_key, report_sealed, now, kept_max]).await? == 1)
}

/// Forgets the sort that came least, and of those the one that came last the longest ago.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn evict(tx: &mut TenantTx) -> Result<(), StoreError> {
    tx.execute(CSP_REPORT_EVICT, args![]).await?;
    Ok(())
}

/// The next `limit` sorts after `after`, by id, which is by when they first came.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn page(tx: &mut TenantTx, after: Option<CspReportId>, limit: u32) -> Result<Vec<CspReportRow>, StoreError> {
    let after = after.map_or(Uuid::nil(), CspReportId::uuid);
    tx.fetch_all(CSP_REPORT_PAGE, args![after, i64::from(limit)]).await
}

/// Forgets every report; answers how many sorts there were.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn delete_all(tx: &mut TenantTx) -> Result<u64, StoreError> {
    tx.execute(CSP_REPORT_DELETE_ALL, args![]).await
}

/// Forgets up to `limit` sorts that last came at `before` or earlier; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, before: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(CSP_REPORT_SWEEP, args![before, i64::from(limit)]).await
}
