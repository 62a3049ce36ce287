//! Events that wait for their effect. The change that says *done* stands in the transaction of the effect and is conditional, so
//! that of two nodes one has it.

use freehold_domain::id::{WebhookDeliveryId, WebhookEventId};
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    INBOX_DUE_EVENTS (2) = "
        SELECT e.id, e.delivery_id, d.source, e.provider, e.event_id, e.kind, e.account, e.happened_at_ms, e.tries
        FROM webhook_event e JOIN webhook_delivery d ON d.id = e.delivery_id
        WHERE e.state = 'waiting' AND e.next_try_at_ms <= $1 ORDER BY e.next_try_at_ms, e.id LIMIT $2";
    INBOX_NEXT (0) = "
        SELECT next_try_at_ms FROM webhook_event WHERE state = 'waiting' ORDER BY next_try_at_ms, id LIMIT 1";
    INBOX_DONE (2) = "
        UPDATE webhook_event SET state = 'done', fault = NULL WHERE id = $1 AND state = 'waiting' AND tries = $2";
    INBOX_POSTPONE (4) = "
        UPDATE webhook_event SET tries = tries + 1, next_try_at_ms = $3, fault = $4
        WHERE id = $1 AND state = 'waiting' AND tries = $2";
    INBOX_PARK (3) = "
        UPDATE webhook_event SET state = 'parked', tries = tries + 1, fault = $3
        WHERE id = $1 AND state = 'waiting' AND tries = $2";
    INBOX_REPLAY (2) = "
        UPDATE webhook_event SET state = 'waiting', tries = 0, next_try_at_ms = $2, fault = NULL
        WHERE id = $1 AND state <> 'done'";
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRow {
    /// Which, here.
    pub id: WebhookEventId,
    /// Whose body tells of it.
    pub delivery: WebhookDeliveryId,
    /// By whose secret it was signed.
    pub source: String,
    /// Whose event.
    pub provider: String,
    /// Which, at the provider.
    pub event_id: String,
    /// What happened.
    pub kind: String,
    /// To whom.
    pub account: Option<String>,
    /// When.
    pub happened_at_ms: Option<UnixMs>,
    /// How often it was tried in vain.
    pub tries: i64,
}

impl TryFrom<Row> for WaitingRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let happened: Option<i64> = row.get("happened_at_ms")?;
        Ok(Self {
            id: WebhookEventId::from_uuid(row.get("id")?),
            delivery: WebhookDeliveryId::from_uuid(row.get("delivery_id")?),
            source: row.get("source")?,
            provider: row.get("provider")?,
            event_id: row.get("event_id")?,
            kind: row.get("kind")?,
            account: row.get("account")?,
            happened_at_ms: happened.map(UnixMs::new),
            tries: row.get("tries")?,
        })
    }
}

struct NextTry(UnixMs);

impl TryFrom<Row> for NextTry {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(UnixMs::new(row.get("next_try_at_ms")?)))
    }
}

/// The first `limit` events that are due at `now`: those that were never tried in the order in which they came.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn due(tx: &mut TenantTx, now: UnixMs, limit: u32) -> Result<Vec<WaitingRow>, StoreError> {
    tx.fetch_all(INBOX_DUE_EVENTS, args![now, i64::from(limit)]).await
}

/// When the first of those that wait is due, now or later.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn next_try(tx: &mut TenantTx) -> Result<Option<UnixMs>, StoreError> {
    let next: Option<NextTry> = tx.fetch_optional(INBOX_NEXT, args![]).await?;
    Ok(next.map(|NextTry(at)| at))
}

/// Says of an event that was tried `tries` times that it has its effect: that of this transaction. `false` when somebody was first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn done(tx: &mut TenantTx, id: WebhookEventId, tries: i64) -> Result<bool, StoreError> {
    Ok(tx.execute(INBOX_DONE, args![id, tries]).await? == 1)
}

/// Counts a try in vain, the next being due at `at`. `false` when somebody was first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn postpone(
    tx: &mut TenantTx,
    (id, tries): (WebhookEventId, i64),
    at: UnixMs,
    fault: &str,
) -> Result<bool, StoreError> {
    Ok(tx.execute(INBOX_POSTPONE, args![id, tries, at, fault]).await? == 1)
}

/// Counts a try in vain that was the last. `false` when somebody was first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn park(tx: &mut TenantTx, (id, tries): (WebhookEventId, i64), fault: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(INBOX_PARK, args![id, tries, fault]).await? == 1)
}

/// Lets an event be tried at `now` as if it never had been. `false` when it had its effect, or is not there.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn replay(tx: &mut TenantTx, id: WebhookEventId, now: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(INBOX_REPLAY, args![id, now]).await? == 1)
}
