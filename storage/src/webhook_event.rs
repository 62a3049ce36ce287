//! Events that providers told of: each once, beside the delivery that told of it first.

use freehold_domain::id::{WebhookDeliveryId, WebhookEventId};
use freehold_domain::inbox::State;
use freehold_domain::time::UnixMs;
use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

/// The events that fit the rest of the text.
macro_rules! events {
    ($rest:literal) => {
        concat!(
            "
        SELECT e.id, e.delivery_id, e.provider, d.source, e.event_id, e.kind, e.account, e.happened_at_ms, e.number,
            e.received_at_ms, e.repeated, d.request_id, e.state, e.tries, e.next_try_at_ms, e.fault
        FROM webhook_event e JOIN webhook_delivery d ON d.id = e.delivery_id
        WHERE ",
            $rest
        )
    };
}

queries! {
    WEBHOOK_EVENT_AGAIN (2) = "
        UPDATE webhook_event SET repeated = repeated + 1 WHERE provider = $1 AND once_key = $2";
    WEBHOOK_DELIVERY_INSERT (5) = "
        INSERT INTO webhook_delivery (id, source, body_sealed, request_id, received_at_ms)
        VALUES ($1, $2, $3, $4, $5)";
    WEBHOOK_DELIVERY_REMOVE (1) = "DELETE FROM webhook_delivery WHERE id = $1";
    WEBHOOK_EVENT_INSERT (11) = "
        INSERT INTO webhook_event
            (id, delivery_id, provider, once_key, event_id, kind, account, happened_at_ms, number, received_at_ms, repeated,
             state, tries, next_try_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, 0, $10)
        ON CONFLICT DO NOTHING";
    WEBHOOK_EVENT_PAGE (2) = events!("e.id > $1 ORDER BY e.id LIMIT $2");
    // A text for each: a state that is bound would not find its index.
    WEBHOOK_EVENT_PAGE_WAITING (2) = events!("e.id > $1 AND e.state = 'waiting' ORDER BY e.id LIMIT $2");
    WEBHOOK_EVENT_PAGE_DONE (2) = events!("e.id > $1 AND e.state = 'done' ORDER BY e.id LIMIT $2");
    WEBHOOK_EVENT_PAGE_PARKED (2) = events!("e.id > $1 AND e.state = 'parked' ORDER BY e.id LIMIT $2");
    WEBHOOK_EVENT_BY_ID (1) = events!("e.id = $1");
    WEBHOOK_DELIVERY_BODY (1) = "SELECT body_sealed FROM webhook_delivery WHERE id = $1";
    WEBHOOK_DELIVERY_SWEEP (2) = "
        DELETE FROM webhook_delivery WHERE id IN
            (SELECT d.id FROM webhook_delivery d
             WHERE d.received_at_ms <= $1 AND NOT EXISTS
                (SELECT 1 FROM webhook_event e WHERE e.delivery_id = d.id AND e.state = 'waiting')
             ORDER BY d.received_at_ms LIMIT $2)";
}

/// A delivery that is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewDelivery<'a> {
    /// Which.
    pub id: WebhookDeliveryId,
    /// By whose secret it was verified.
    pub source: &'a str,
    /// Its body, sealed.
    pub body_sealed: &'a [u8],
    /// Which request brought it.
    pub request_id: &'a str,
    /// When.
    pub received_at_ms: UnixMs,
}

/// An event that is to be kept, if nobody told of it before.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    /// Which, here.
    pub id: WebhookEventId,
    /// In which delivery.
    pub delivery: WebhookDeliveryId,
    /// Whose event.
    pub provider: &'a str,
    /// What tells it from every other event of the provider's.
    pub once_key: &'a [u8],
    /// Which, at the provider.
    pub event_id: &'a str,
    /// What happened.
    pub kind: &'a str,
    /// To whom.
    pub account: Option<&'a str>,
    /// When it happened.
    pub happened_at_ms: Option<UnixMs>,
    /// Its place among others.
    pub number: Option<i64>,
    /// When it was received, and when its effect is due, if it has one.
    pub received_at_ms: UnixMs,
    /// [`State::Done`] where it has no effect, else [`State::Waiting`].
    pub state: State,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEventRow {
    /// Which, here.
    pub id: WebhookEventId,
    /// In which delivery.
    pub delivery: WebhookDeliveryId,
    /// Whose event.
    pub provider: String,
    /// By whose secret it was verified.
    pub source: String,
    /// Which, at the provider.
    pub event_id: String,
    /// What happened.
    pub kind: String,
    /// To whom.
    pub account: Option<String>,
    /// When it happened.
    pub happened_at_ms: Option<UnixMs>,
    /// Its place among others.
    pub number: Option<i64>,
    /// When it was received.
    pub received_at_ms: UnixMs,
    /// How often it was told of again.
    pub repeated: i64,
    /// Which request brought it.
    pub request_id: String,
    /// How it stands.
    pub state: State,
    /// How often its effect was tried in vain.
    pub tries: i64,
    /// When it is tried next, while it waits.
    pub next_try_at_ms: UnixMs,
    /// Why the last try was in vain, in a word.
    pub fault: Option<String>,
}

impl TryFrom<Row> for WebhookEventRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let happened: Option<i64> = row.get("happened_at_ms")?;
        let id = WebhookEventId::from_uuid(row.get("id")?);
        let state: String = row.get("state")?;
        Ok(Self {
            id,
            delivery: WebhookDeliveryId::from_uuid(row.get("delivery_id")?),
            provider: row.get("provider")?,
            source: row.get("source")?,
            event_id: row.get("event_id")?,
            kind: row.get("kind")?,
            account: row.get("account")?,
            happened_at_ms: happened.map(UnixMs::new),
            number: row.get("number")?,
            received_at_ms: UnixMs::new(row.get("received_at_ms")?),
            repeated: row.get("repeated")?,
            request_id: row.get("request_id")?,
            state: state.parse().map_err(|_| StoreError::Corrupt { table: "webhook_event", id: id.to_string() })?,
            tries: row.get("tries")?,
            next_try_at_ms: UnixMs::new(row.get("next_try_at_ms")?),
            fault: row.get("fault")?,
        })
    }
}

struct Body(Vec<u8>);

impl TryFrom<Row> for Body {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(row.get("body_sealed")?))
    }
}

/// Counts an event that is told of again. `false` when it is new.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn again(tx: &mut TenantTx, provider: &str, once_key: &[u8]) -> Result<bool, StoreError> {
    Ok(tx.execute(WEBHOOK_EVENT_AGAIN, args![provider, once_key]).await? == 1)
}

/// Keeps a delivery.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert_delivery(tx: &mut TenantTx, new: &NewDelivery<'_>) -> Result<(), StoreError> {
    let args = args![new.id, new.source, new.body_sealed, new.request_id, new.received_at_ms];
    tx.execute(WEBHOOK_DELIVERY_INSERT, args).await?;
    Ok(())
}

/// Takes a delivery back that brought nothing new.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn remove_delivery(tx: &mut TenantTx, id: WebhookDeliveryId) -> Result<(), StoreError> {
    tx.execute(WEBHOOK_DELIVERY_REMOVE, args![id]).await?;
    Ok(())
}

/// Keeps an event of a delivery that is kept. `false` when somebody told of it before.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(tx: &mut TenantTx, new: &NewEvent<'_>) -> Result<bool, StoreError> {
    let args = args![
        new.id,
        new.delivery,
        new.provider,
        new.once_key,
        new.event_id,
        new.kind,
        new.account,
        new.happened_at_ms,
        new.number,
        new.received_at_ms,
        new.state.as_str()
    ];
    Ok(tx.execute(WEBHOOK_EVENT_INSERT, args).await? == 1)
}

/// The next `limit` events after `after`, in the order in which they were received; those that stand so, where that is asked for.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn page(
    tx: &mut TenantTx,
    state: Option<State>,
    after: Option<WebhookEventId>,
    limit: u32,
) -> Result<Vec<WebhookEventRow>, StoreError> {
    let after = after.map_or(Uuid::nil(), WebhookEventId::uuid);
    let page = match state {
        None => WEBHOOK_EVENT_PAGE,
        Some(State::Waiting) => WEBHOOK_EVENT_PAGE_WAITING,
        Some(State::Done) => WEBHOOK_EVENT_PAGE_DONE,
        Some(State::Parked) => WEBHOOK_EVENT_PAGE_PARKED,
    };
    tx.fetch_all(page, args![after, i64::from(limit)]).await
}

/// One event.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_id(tx: &mut TenantTx, id: WebhookEventId) -> Result<Option<WebhookEventRow>, StoreError> {
    tx.fetch_optional(WEBHOOK_EVENT_BY_ID, args![id]).await
}

/// The sealed body of a delivery.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn body(tx: &mut TenantTx, id: WebhookDeliveryId) -> Result<Option<Vec<u8>>, StoreError> {
    let body: Option<Body> = tx.fetch_optional(WEBHOOK_DELIVERY_BODY, args![id]).await?;
    Ok(body.map(|Body(sealed)| sealed))
}

/// Deletes the oldest `limit` deliveries of up to `until`, with their events; none of which one waits.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, until: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(WEBHOOK_DELIVERY_SWEEP, args![until, i64::from(limit)]).await
}
