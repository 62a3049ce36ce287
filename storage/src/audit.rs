//! The audit log of a tenant: rows that are added and never changed, and the head of their chain.
//!
//! Whoever appends holds the head to the end of the transaction, so that nodes that append at once wait for each other
//! and no number is given twice or left out. Hold it last, just before the commit: then two transactions that hold
//! other rows too cannot wait for each other.

use freehold_domain::audit::chain::{Entry, Head, Row as AuditRow};
use freehold_domain::id::AuditId;
use freehold_domain::time::UnixMs;
use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    AUDIT_HEAD (0) = "SELECT seq, mac FROM audit_head";
    /// Changes nothing: it takes the row's lock.
    AUDIT_HEAD_HOLD (0) = "UPDATE audit_head SET seq = seq RETURNING seq, mac";
    AUDIT_HEAD_INSERT (2) = "INSERT INTO audit_head (seq, mac) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    AUDIT_HEAD_ADVANCE (2) = "UPDATE audit_head SET seq = seq + 1, mac = $2 WHERE seq = $1";
    AUDIT_INSERT (9) = "
        INSERT INTO audit (seq, id, at_ms, action, actor_kind, actor, subject, detail_sealed, mac)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    AUDIT_AFTER (2) = "
        SELECT seq, id, at_ms, action, actor_kind, actor, subject, detail_sealed, mac FROM audit
        WHERE seq > $1 ORDER BY seq LIMIT $2";
    AUDIT_MACS_AFTER (2) = "SELECT seq, mac FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2";
    AUDIT_FIRST_SINCE (1) = "SELECT seq, mac FROM audit WHERE at_ms >= $1 ORDER BY seq LIMIT 1";
    AUDIT_BY_SEQ (1) = "
        SELECT seq, id, at_ms, action, actor_kind, actor, subject, detail_sealed, mac FROM audit WHERE seq = $1";
    /// An empty text is any action or any kind; a member's id is looked at only where the kind is `member`.
    AUDIT_BEFORE (7) = "
        SELECT seq, id, at_ms, action, actor_kind, actor, subject, detail_sealed, mac FROM audit
        WHERE seq < $1 AND at_ms >= $2 AND at_ms < $3 AND ($4 = '' OR action = $4)
          AND ($5 = '' OR actor_kind = $5 AND ($5 <> 'member' OR actor = $6))
        ORDER BY seq DESC LIMIT $7";
}

/// Which rows are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Numbered below this.
    pub before_seq: i64,
    /// At this time or later.
    pub since: UnixMs,
    /// Before this time.
    pub until: UnixMs,
    /// With this action; empty for any.
    pub action: &'a str,
    /// By this kind of actor; empty for any.
    pub actor_kind: &'a str,
    /// By this member, where the kind is `member`.
    pub actor: Option<Uuid>,
}

impl TryFrom<Row> for AuditRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let entry = Entry {
            id: AuditId::from_uuid(row.get("id")?),
            at: UnixMs::new(row.get("at_ms")?),
            action: row.get("action")?,
            actor_kind: row.get("actor_kind")?,
            actor: row.get("actor")?,
            subject: row.get("subject")?,
            detail_sealed: row.get("detail_sealed")?,
        };
        Ok(Self { seq: row.get("seq")?, entry, mac: row.get("mac")? })
    }
}

impl TryFrom<Row> for Head {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self { seq: row.get("seq")?, mac: row.get("mac")? })
    }
}

/// The number and the mac of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mac {
    /// The row's number.
    pub seq: i64,
    /// Its mac.
    pub mac: Vec<u8>,
}

impl TryFrom<Row> for Mac {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self { seq: row.get("seq")?, mac: row.get("mac")? })
    }
}

/// The head; `None` where nothing was ever appended.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn head(tx: &mut TenantTx) -> Result<Option<Head>, StoreError> {
    tx.fetch_optional(AUDIT_HEAD, args![]).await
}

/// The head, held against every other transaction that wants it until this one ends. The first who comes makes it.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn hold(tx: &mut TenantTx) -> Result<Head, StoreError> {
    if let Some(head) = tx.fetch_optional(AUDIT_HEAD_HOLD, args![]).await? {
        return Ok(head);
    }
    let first = Head::first();
    tx.execute(AUDIT_HEAD_INSERT, args![first.seq, first.mac.as_slice()]).await?;
    let held = tx.fetch_optional(AUDIT_HEAD_HOLD, args![]).await?; // a rival's, if one was first
    held.ok_or_else(|| StoreError::Corrupt { table: "audit_head", id: "-".to_owned() })
}

/// Adds a row, and advances the head that it was made after.
///
/// # Errors
/// [`StoreError::Conflict`] when the head has another number than before the row; any [`StoreError`]. The transaction is
/// lost.
pub async fn append(tx: &mut TenantTx, row: &AuditRow, head: &Head) -> Result<(), StoreError> {
    let before = row.seq.saturating_sub(1);
    if tx.execute(AUDIT_HEAD_ADVANCE, args![before, head.mac.as_slice()]).await? == 0 {
        return Err(StoreError::Conflict { source: "the head of the audit log has moved on".into() });
    }
    let AuditRow { seq, entry, mac } = row;
    let args = args![
        *seq,
        entry.id,
        entry.at,
        entry.action.as_str(),
        entry.actor_kind.as_str(),
        entry.actor,
        entry.subject,
        entry.detail_sealed.as_slice(),
        mac.as_slice(),
    ];
    tx.execute(AUDIT_INSERT, args).await?;
    Ok(())
}

/// The next `limit` rows numbered above `seq`, in order.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn after(tx: &mut TenantTx, seq: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
    tx.fetch_all(AUDIT_AFTER, args![seq, i64::from(limit)]).await
}

/// The macs of the next `limit` rows numbered above `seq`, in order.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn macs_after(tx: &mut TenantTx, seq: i64, limit: u32) -> Result<Vec<Mac>, StoreError> {
    tx.fetch_all(AUDIT_MACS_AFTER, args![seq, i64::from(limit)]).await
}

/// The last `limit` of the rows that are wanted, the newest first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn before(tx: &mut TenantTx, wanted: &Wanted<'_>, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
    let Wanted { before_seq, since, until, action, actor_kind, actor } = wanted;
    let actor = actor.unwrap_or_default();
    let args = args![*before_seq, *since, *until, *action, *actor_kind, actor, i64::from(limit)];
    tx.fetch_all(AUDIT_BEFORE, args).await
}

/// The number of the first row of `since` or later; `None` where there is none.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn first_since(tx: &mut TenantTx, since: UnixMs) -> Result<Option<i64>, StoreError> {
    let first: Option<Mac> = tx.fetch_optional(AUDIT_FIRST_SINCE, args![since]).await?;
    Ok(first.map(|first| first.seq))
}

/// The row with this number.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_seq(tx: &mut TenantTx, seq: i64) -> Result<Option<AuditRow>, StoreError> {
    tx.fetch_optional(AUDIT_BY_SEQ, args![seq]).await
}
