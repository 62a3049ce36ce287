//! What endpoints are told: a row for each endpoint and row of the audit log, and how each try went.

use freehold_domain::id::WebhookEndpointId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    WEBHOOK_MESSAGE_INSERT (4) = "
        INSERT INTO webhook_message (endpoint_id, seq, kind, state, tries, attempts, next_try_at_ms, created_at_ms)
        VALUES ($1, $2, $3, 'waiting', 0, 0, $4, $4) ON CONFLICT DO NOTHING";
    WEBHOOK_MESSAGE_NEXT (1) = "
        SELECT endpoint_id, seq, kind, state, tries, attempts, next_try_at_ms, created_at_ms FROM webhook_message
        WHERE endpoint_id = $1 AND state = 'waiting' ORDER BY next_try_at_ms, seq LIMIT 1";
    /// Of each endpoint that is told.
    WEBHOOK_MESSAGE_FIRSTS (0) = "
        SELECT m.endpoint_id, MIN(m.next_try_at_ms) AS next_try_at_ms
        FROM webhook_message m JOIN webhook_endpoint e ON e.id = m.endpoint_id
        WHERE m.state = 'waiting' AND e.disabled_at_ms IS NULL GROUP BY m.endpoint_id";
    WEBHOOK_MESSAGE_CLAIM (4) = "
        UPDATE webhook_message SET tries = tries + 1, attempts = attempts + 1, next_try_at_ms = $4
        WHERE endpoint_id = $1 AND seq = $2 AND attempts = $3 AND state = 'waiting'";
    WEBHOOK_MESSAGE_SETTLE (5) = "
        UPDATE webhook_message SET state = $4, next_try_at_ms = $5
        WHERE endpoint_id = $1 AND seq = $2 AND attempts = $3 AND state = 'waiting'";
    /// An empty text is any state.
    WEBHOOK_MESSAGE_BEFORE (4) = "
        SELECT endpoint_id, seq, kind, state, tries, attempts, next_try_at_ms, created_at_ms FROM webhook_message
        WHERE endpoint_id = $1 AND seq < $2 AND ($3 = '' OR state = $3) ORDER BY seq DESC LIMIT $4";
    WEBHOOK_MESSAGE_BY_SEQ (2) = "
        SELECT endpoint_id, seq, kind, state, tries, attempts, next_try_at_ms, created_at_ms FROM webhook_message
        WHERE endpoint_id = $1 AND seq = $2";
    WEBHOOK_MESSAGE_AGAIN (3) = "
        UPDATE webhook_message SET state = 'waiting', tries = 0, next_try_at_ms = $3
        WHERE endpoint_id = $1 AND seq = $2 AND state <> 'waiting'";
    WEBHOOK_MESSAGE_NOT_DELIVERED_AGAIN (3) = "
        UPDATE webhook_message SET state = 'waiting', tries = 0, next_try_at_ms = $3
        WHERE endpoint_id = $1 AND seq = $2 AND state <> 'delivered'";
    WEBHOOK_MESSAGE_SWEEP (2) = "
        DELETE FROM webhook_message WHERE created_at_ms IN
            (SELECT created_at_ms FROM webhook_message WHERE created_at_ms <= $1 ORDER BY created_at_ms LIMIT $2)";
    WEBHOOK_ATTEMPT_INSERT (8) = "
        INSERT INTO webhook_attempt (endpoint_id, seq, attempt, at_ms, took_ms, outcome, status, answer_sealed)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    WEBHOOK_ATTEMPT_LAST (3) = "
        SELECT attempt, at_ms, took_ms, outcome, status, answer_sealed FROM webhook_attempt
        WHERE endpoint_id = $1 AND seq = $2 ORDER BY attempt DESC LIMIT $3";
}

/// A message as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookMessageRow {
    /// To whom.
    pub endpoint: WebhookEndpointId,
    /// Of which row of the audit log it tells.
    pub seq: i64,
    /// What happened.
    pub kind: String,
    /// `waiting`, `delivered` or `failed`.
    pub state: String,
    /// How often it was tried since it was last asked for.
    pub tries: i64,
    /// How often in all.
    pub attempts: i64,
    /// When it is tried next, while it waits.
    pub next_try_at_ms: UnixMs,
    /// When it was written.
    pub created_at_ms: UnixMs,
}

impl TryFrom<Row> for WebhookMessageRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            endpoint: WebhookEndpointId::from_uuid(row.get("endpoint_id")?),
            seq: row.get("seq")?,
            kind: row.get("kind")?,
            state: row.get("state")?,
            tries: row.get("tries")?,
            attempts: row.get("attempts")?,
            next_try_at_ms: UnixMs::new(row.get("next_try_at_ms")?),
            created_at_ms: UnixMs::new(row.get("created_at_ms")?),
        })
    }
}

/// How a try went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookAttemptRow {
    /// Its number among those of the message, from 1.
    pub attempt: i64,
    /// When it began.
    pub at_ms: UnixMs,
    /// How many milliseconds it took.
    pub took_ms: i64,
    /// What became of it, in a word.
    pub outcome: String,
    /// The status of the answer, if there was one.
    pub status: Option<i64>,
    /// What was answered, sealed.
    pub answer_sealed: Option<Vec<u8>>,
}

impl TryFrom<Row> for WebhookAttemptRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            attempt: row.get("attempt")?,
            at_ms: UnixMs::new(row.get("at_ms")?),
            took_ms: row.get("took_ms")?,
            outcome: row.get("outcome")?,
            status: row.get("status")?,
            answer_sealed: row.get("answer_sealed")?,
        })
    }
}

/// An endpoint, and when its first message is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// Which.
    pub endpoint: WebhookEndpointId,
    /// When.
    pub at: UnixMs,
}

impl TryFrom<Row> for First {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let endpoint = WebhookEndpointId::from_uuid(row.get("endpoint_id")?);
        Ok(Self { endpoint, at: UnixMs::new(row.get("next_try_at_ms")?) })
    }
}

/// Adds a message that is due at once. `false` when it is there.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    (seq, kind): (i64, &str),
    now: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(WEBHOOK_MESSAGE_INSERT, args![endpoint, seq, kind, now]).await? == 1)
}

/// The message of an endpoint that is due first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn next(tx: &mut TenantTx, endpoint: WebhookEndpointId) -> Result<Option<WebhookMessageRow>, StoreError> {
    tx.fetch_optional(WEBHOOK_MESSAGE_NEXT, args![endpoint]).await
}

/// When the first message of each endpoint is due that is told and has one.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn firsts(tx: &mut TenantTx) -> Result<Vec<First>, StoreError> {
    tx.fetch_all(WEBHOOK_MESSAGE_FIRSTS, args![]).await
}

/// Claims a message that was read, until `lease`: of two who try one succeeds.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn claim(tx: &mut TenantTx, read: &WebhookMessageRow, lease: UnixMs) -> Result<bool, StoreError> {
    let args = args![read.endpoint, read.seq, read.attempts, lease];
    Ok(tx.execute(WEBHOOK_MESSAGE_CLAIM, args).await? == 1)
}

/// Writes what became of a message that was claimed, and how the try went: it waits until `next`, was delivered, or failed.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn settle(
    tx: &mut TenantTx,
    claimed: &WebhookMessageRow,
    (state, next): (&str, UnixMs),
    attempt: &WebhookAttemptRow,
) -> Result<(), StoreError> {
    let args = args![claimed.endpoint, claimed.seq, attempt.attempt, state, next];
    if tx.execute(WEBHOOK_MESSAGE_SETTLE, args).await? == 0 {
        return Ok(()); // its lease was over, and another has it; or it is gone
    }
    let args = args![
        claimed.endpoint,
        claimed.seq,
        attempt.attempt,
        attempt.at_ms,
        attempt.took_ms,
        attempt.outcome.as_str(),
        attempt.status,
        attempt.answer_sealed.as_deref()
    ];
    tx.execute(WEBHOOK_ATTEMPT_INSERT, args).await?;
    Ok(())
}

/// The last `limit` messages of an endpoint before the one of this row, the newest first; of any state where `state` is empty.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn before(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    (seq, state): (i64, &str),
    limit: u32,
) -> Result<Vec<WebhookMessageRow>, StoreError> {
    tx.fetch_all(WEBHOOK_MESSAGE_BEFORE, args![endpoint, seq, state, i64::from(limit)]).await
}

/// One message.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_seq(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    seq: i64,
) -> Result<Option<WebhookMessageRow>, StoreError> {
    tx.fetch_optional(WEBHOOK_MESSAGE_BY_SEQ, args![endpoint, seq]).await
}

/// Has a message sent again that was delivered or failed. `false` when it waits, or is not there.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn again(tx: &mut TenantTx, endpoint: WebhookEndpointId, seq: i64, now: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(WEBHOOK_MESSAGE_AGAIN, args![endpoint, seq, now]).await? == 1)
}

/// Has a message sent at once that was not delivered, whether it failed or waits. `false` when it was, or is not there.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn not_delivered_again(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    seq: i64,
    now: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(WEBHOOK_MESSAGE_NOT_DELIVERED_AGAIN, args![endpoint, seq, now]).await? == 1)
}

/// The last `limit` tries of a message, the newest first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn attempts(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    seq: i64,
    limit: u32,
) -> Result<Vec<WebhookAttemptRow>, StoreError> {
    tx.fetch_all(WEBHOOK_ATTEMPT_LAST, args![endpoint, seq, i64::from(limit)]).await
}

/// Deletes messages of up to `until` with their tries, those of the oldest `limit` moments.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, until: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(WEBHOOK_MESSAGE_SWEEP, args![until, i64::from(limit)]).await
}
