//! What anybody told of weaknesses, and when it was answered.

use freehold_domain::id::{MemberId, SecurityReportId};
use freehold_domain::time::UnixMs;
use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    SECURITY_REPORT_INSERT (4) = "
        INSERT INTO security_report (id, report_sealed, received_at_ms)
        SELECT $1, $2, $3 WHERE (SELECT COUNT(*) FROM security_report WHERE answered_at_ms IS NULL) < $4
        ON CONFLICT DO NOTHING";
    SECURITY_REPORT_PAGE (2) = "
        SELECT id, report_sealed, received_at_ms, answered_at_ms, answered_by, note_sealed
        FROM security_report WHERE id > $1 ORDER BY id LIMIT $2";
    SECURITY_REPORT_BY_ID (1) = "
        SELECT id, report_sealed, received_at_ms, answered_at_ms, answered_by, note_sealed
        FROM security_report WHERE id = $1";
    SECURITY_REPORT_ANSWER (4) = "
        UPDATE security_report SET answered_at_ms = $2, answered_by = $3, note_sealed = $4
        WHERE id = $1 AND answered_at_ms IS NULL";
    SECURITY_REPORT_OPEN (1) = "
        SELECT COUNT(*) AS open_count, MIN(received_at_ms) AS oldest_ms,
            CAST(COALESCE(SUM(CASE WHEN received_at_ms <= $1 THEN 1 ELSE 0 END), 0) AS BIGINT) AS overdue_count
        FROM security_report WHERE answered_at_ms IS NULL";
    SECURITY_REPORT_SWEEP (2) = "
        DELETE FROM security_report WHERE id IN
            (SELECT id FROM security_report WHERE answered_at_ms <= $1 ORDER BY answered_at_ms LIMIT $2)";
}

/// A report as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityReportRow {
    /// Which: its reference.
    pub id: SecurityReportId,
    /// What was told, sealed.
    pub report_sealed: Vec<u8>,
    /// When it came.
    pub received_at_ms: UnixMs,
    /// What became of it; `None` while it waits.
    pub answer: Option<AnswerRow>,
}

/// An answer as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRow {
    /// When.
    pub at_ms: UnixMs,
    /// By whom.
    pub by: MemberId,
    /// What was answered, sealed.
    pub note_sealed: Vec<u8>,
}

impl TryFrom<Row> for SecurityReportRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let id = SecurityReportId::from_uuid(row.get("id")?);
        let (at, by, note): (Option<i64>, Option<Uuid>, Option<Vec<u8>>) =
            (row.get("answered_at_ms")?, row.get("answered_by")?, row.get("note_sealed")?);
        let answer = match (at, by, note) {
            (Some(at), Some(by), Some(note_sealed)) => {
                Some(AnswerRow { at_ms: UnixMs::new(at), by: MemberId::from_uuid(by), note_sealed })
            }
            (None, None, None) => None,
            (_, _, _) => return Err(StoreError::Corrupt { table: "security_report", id: id.to_string() }),
        };
        let (report_sealed, received_at_ms) = (row.get("report_sealed")?, UnixMs::new(row.get("received_at_ms")?));
        Ok(Self { id, report_sealed, received_at_ms, answer })
    }
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenReports {
    /// How many.
    pub open: i64,
    /// How many of them for too long.
    pub overdue: i64,
    /// When the first of them came.
    pub oldest: Option<UnixMs>,
}

impl TryFrom<Row> for OpenReports {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let oldest: Option<i64> = row.get("oldest_ms")?;
        Ok(Self { open: row.get("open_count")?, overdue: row.get("overdue_count")?, oldest: oldest.map(UnixMs::new) })
    }
}

/// Keeps a report while fewer than `open_max` wait. `false` when there is no room.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(
    tx: &mut TenantTx,
    id: SecurityReportId,
    report_sealed: &[u8],
    now: UnixMs,
    open_max: i64,
) -> Result<bool, StoreError> {
    Ok(tx.execute(SECURITY_REPORT_INSERT, args![id, report_sealed, now, open_max]).await? == 1)
}

/// The next `limit` reports after `after`, by id, which is by when they came.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn page(
    tx: &mut TenantTx,
    after: Option<SecurityReportId>,
    limit: u32,
) -> Result<Vec<SecurityReportRow>, StoreError> {
    let after = after.map_or(Uuid::nil(), SecurityReportId::uuid);
    tx.fetch_all(SECURITY_REPORT_PAGE, args![after, i64::from(limit)]).await
}

/// The report with this id.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_id(tx: &mut TenantTx, id: SecurityReportId) -> Result<Option<SecurityReportRow>, StoreError> {
    tx.fetch_optional(SECURITY_REPORT_BY_ID, args![id]).await
}

/// Notes the first answer to a report. `false` when there is none that waits.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn answer(tx: &mut TenantTx, id: SecurityReportId, answer: &AnswerRow) -> Result<bool, StoreError> {
    let AnswerRow { at_ms, by, note_sealed } = answer;
    Ok(tx.execute(SECURITY_REPORT_ANSWER, args![id, *at_ms, *by, note_sealed.as_slice()]).await? == 1)
}

/// What waits; what came at `overdue_from` or earlier has waited for too long.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn open(tx: &mut TenantTx, overdue_from: UnixMs) -> Result<OpenReports, StoreError> {
    Ok(tx.fetch_optional(SECURITY_REPORT_OPEN, args![overdue_from]).await?.unwrap_or_default())
}

/// Forgets up to `limit` reports that were answered at `before` or earlier; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, before: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(SECURITY_REPORT_SWEEP, args![before, i64::from(limit)]).await
}
