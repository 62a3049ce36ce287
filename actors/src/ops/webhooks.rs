//! Deliveries of providers: verified, and kept before they are acknowledged; and what was kept and refused, for admins. What acts
//! on them is [`crate::inbox`].

use std::sync::Arc;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor};
use freehold_domain::gcra::{Layer, Subject};
use freehold_domain::id::{WebhookDeliveryId, WebhookEventId};
use freehold_domain::inbox::State;
use freehold_domain::keys::Sealed;
use freehold_domain::secret::Secret;
use freehold_domain::stripe;
use freehold_domain::tier::Tier;
use freehold_domain::time::UnixMs;
use freehold_domain::webhook::{Body, Delivery, Event, Provider};
use freehold_storage::webhook_event::{self as rows, NewDelivery, NewEvent, WebhookEventRow};
use freehold_storage::webhook_refusal::{self, WebhookRefusalRow};
use freehold_storage::{Chain, TenantTx, webhook_inbox};

use crate::fault;
use crate::metric;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::webhook_sources::NotVerified;

/// The cause of a refusal where nothing is set for the provider, and its words.
const NOT_SET: (&str, &str) = ("no-secret", "no secret is set for this provider");

/// A request that a provider is said to have sent.
#[derive(Debug)]
pub struct Posted {
    /// Which provider.
    pub provider: Provider,
    /// Its method.
    pub method: String,
    /// The tenant's own URL with the path and the query as they came.
    pub url: String,
    /// Its headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body.
    pub body: Secret<Vec<u8>>,
}

/// What became of a delivery that is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It told of something new, which is kept.
    New,
    /// Everything in it is known.
    Known,
}

/// Why a delivery was not received.
#[derive(Clone, Debug)]
pub enum NotReceived {
    /// It is not signed, or tells of nothing. The sender is told no more.
    Refused,
    /// It is, and could not be kept: it shall come again.
    Later(Refusal),
}

impl<E: Into<Refusal>> From<E> for NotReceived {
    fn from(error: E) -> Self {
        Self::Later(error.into())
    }
}

/// Takes a delivery in: whoever has the answer can rely on what it told of being kept, once.
///
/// It is verified before it counts for the tenant, so that strangers use up nothing of the provider's, and before anything of its
/// body is read.
///
/// # Errors
/// [`NotReceived`]
pub async fn receive(cx: &Context, posted: &Posted) -> Result<Received, NotReceived> {
    let headers: Vec<_> = posted.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let body = posted.body.expose().as_slice();
    let delivery = Delivery { method: &posted.method, url: &posted.url, headers: &headers, body };
    let clocks = (cx.node.ambient.now(), cx.node.ambient.wall());
    let provider = posted.provider;
    let known = cx.live.webhook_sources.verify(provider, &delivery, &cx.live.keys, clocks);
    let (source, verified) = match known {
        Ok(verified) => verified,
        Err(NotVerified::Sealed) => return Err(NotReceived::Later(Refusal::Internal)),
        Err(NotVerified::NotSet) => return Err(refuse(cx, provider, NOT_SET.0, || NOT_SET.1.to_owned())),
        Err(NotVerified::Refused(source, refusal)) => {
            // Only what is going to be told is looked at closer: anybody can send what is refused.
            let is_told = cx.slot.cells.webhook_tally().is_due(provider, refusal.as_str(), clocks.0);
            let explain = || cx.live.webhook_sources.explain(source, &delivery, &cx.live.keys, (refusal, clocks.0));
            let refusal = if is_told { explain() } else { refusal };
            return Err(refuse(cx, provider, refusal.as_str(), || refusal.to_string()));
        }
    };
    let of_provider = Layer { tier: Tier::WebhookIn, subject: Subject(provider as u128 + 1) };
    cx.admit(&[of_provider, cx.tenant_layer()]).await?;
    let events = verified.events().map_err(|no| refuse(cx, provider, "no-event", || no.to_string()))?;
    let received = keep(cx, provider, source.as_str(), &events, body).await?;
    let outcome = if received == Received::New { "accepted" } else { "repeated" };
    metrics::counter!(metric::WEBHOOKS, "provider" => provider.as_str(), "outcome" => outcome).increment(1);
    Ok(received)
}

/// Keeps what is new of the events, in one transaction.
async fn keep(
    cx: &Context,
    provider: Provider,
    source: &str,
    events: &[Event],
    body: &[u8],
) -> Result<Received, Refusal> {
    let now = cx.node.ambient.now();
    let id = WebhookDeliveryId::new(now, cx.node.ambient.random());
    let sealed = cx.live.keys.seal(&Body::place(&id), &Body::new(body), cx.node.nonce());
    let sealed = sealed.map_err(|_| Refusal::Internal)?;
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let mut new = vec![];
    for event in events {
        let once_key = event.once_key(body);
        if !rows::again(&mut tx, provider.as_str(), &once_key).await? {
            new.push((event, once_key));
        }
    }
    let (mut kept, mut waits) = (0, false);
    if !new.is_empty() {
        let request_id = &cx.client.origin.request_id;
        let delivery = NewDelivery { id, source, body_sealed: sealed.bytes(), request_id, received_at_ms: now };
        rows::insert_delivery(&mut tx, &delivery).await?;
        for (event, once_key) in &new {
            let is_kept = insert(&mut tx, cx, (provider, id, now), event, once_key).await?;
            kept += usize::from(is_kept);
            waits |= is_kept && stripe::concerns(provider, &event.kind);
        }
        if kept == 0 {
            rows::remove_delivery(&mut tx, id).await?; // a rival was first with each of them
        }
    }
    if waits {
        let (node, tenant) = (Arc::clone(&cx.node), cx.slot.id);
        tx.after_commit(move || node.inbox.kept(tenant, now));
    }
    fault::reach("webhook.written");
    tx.commit().await?;
    fault::reach("webhook.committed");
    Ok(if kept > 0 { Received::New } else { Received::Known })
}

/// Keeps one event, or counts it as known where a rival was first.
async fn insert(
    tx: &mut TenantTx,
    cx: &Context,
    (provider, delivery, now): (Provider, WebhookDeliveryId, UnixMs),
    event: &Event,
    once_key: &[u8; 32],
) -> Result<bool, Refusal> {
    let new = NewEvent {
        id: WebhookEventId::new(now, cx.node.ambient.random()),
        delivery,
        provider: provider.as_str(),
        once_key,
        event_id: &event.id,
        kind: &event.kind,
        account: event.account.as_deref(),
        happened_at_ms: event.at,
        number: event.number.and_then(|number| i64::try_from(number).ok()),
        received_at_ms: now,
        state: if stripe::concerns(provider, &event.kind) { State::Waiting } else { State::Done },
    };
    let is_new = rows::insert(tx, &new).await?;
    if !is_new {
        rows::again(tx, provider.as_str(), once_key).await?;
    }
    Ok(is_new)
}

/// Counts a refusal, and has it written down for the admins if it is time. Nobody waits for that.
fn refuse(cx: &Context, provider: Provider, cause: &'static str, detail: impl FnOnce() -> String) -> NotReceived {
    metrics::counter!(metric::WEBHOOKS, "provider" => provider.as_str(), "outcome" => "refused").increment(1);
    let now = cx.node.ambient.now();
    let told = cx.slot.cells.webhook_tally().note(provider, cause, now);
    if let Some(times) = told {
        let row = WebhookRefusalRow {
            provider: provider.to_string(),
            cause: cause.to_owned(),
            detail: detail(),
            request_id: cx.client.origin.request_id.to_string(),
            times,
            first_seen_at_ms: now,
            last_seen_at_ms: now,
        };
        let cx = cx.clone();
        tokio::spawn(async move {
            if let Err(error) = write_down(&cx, &row).await {
                tracing::warn!(tenant.id = %cx.slot.id, error = %Chain(&error), "a refused webhook is told nowhere");
            }
        });
    }
    NotReceived::Refused
}

async fn write_down(cx: &Context, row: &WebhookRefusalRow) -> Result<(), freehold_storage::StoreError> {
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    webhook_refusal::add(&mut tx, row).await?;
    tx.commit().await
}

/// An event as admins see it.
#[derive(Clone, Debug)]
pub struct EventItem {
    /// Which, here.
    pub id: WebhookEventId,
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
    pub happened_at: Option<UnixMs>,
    /// When it was received.
    pub received_at: UnixMs,
    /// How often it was told of again.
    pub repeated: i64,
    /// Which request brought it first.
    pub request_id: String,
    /// How it stands.
    pub state: State,
    /// How often its effect was tried in vain.
    pub tries: i64,
    /// When it is tried next, if it waits.
    pub next_try_at: Option<UnixMs>,
    /// Why the last try was in vain, in a word.
    pub fault: Option<String>,
}

impl From<WebhookEventRow> for EventItem {
    fn from(row: WebhookEventRow) -> Self {
        Self {
            next_try_at: (row.state == State::Waiting).then_some(row.next_try_at_ms),
            state: row.state,
            tries: row.tries,
            fault: row.fault,
            id: row.id,
            provider: row.provider,
            source: row.source,
            event_id: row.event_id,
            kind: row.kind,
            account: row.account,
            happened_at: row.happened_at_ms,
            received_at: row.received_at_ms,
            repeated: row.repeated,
            request_id: row.request_id,
        }
    }
}

/// Refusals for one cause, as admins see them.
#[derive(Clone, Debug)]
pub struct RefusalItem {
    /// Of whose deliveries.
    pub provider: String,
    /// Why, in a word.
    pub cause: String,
    /// Why the last one was, in words.
    pub detail: String,
    /// How often.
    pub times: i64,
    /// When first.
    pub first_seen_at: UnixMs,
    /// When last.
    pub last_seen_at: UnixMs,
    /// Which request the last one was.
    pub request_id: String,
}

impl From<WebhookRefusalRow> for RefusalItem {
    fn from(row: WebhookRefusalRow) -> Self {
        Self {
            provider: row.provider,
            cause: row.cause,
            detail: row.detail,
            times: row.times,
            first_seen_at: row.first_seen_at_ms,
            last_seen_at: row.last_seen_at_ms,
            request_id: row.request_id,
        }
    }
}

/// A part of the events that were kept, in the order in which they came.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events.
    pub items: Vec<EventItem>,
    /// Where the next part begins; `None` on the last.
    pub next: Option<WebhookEventId>,
}

/// The events after `after`, at most `limit`; those that stand so, where that is asked for.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn events(
    cx: &Context,
    caller: &AccessClaims,
    state: Option<State>,
    after: Option<WebhookEventId>,
    limit: u32,
) -> Result<EventPage, Refusal> {
    cx.admit_member(caller).await?;
    let mut found = rows::page(&mut cx.node.store.read(cx.slot.id).await?, state, after, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|row| row.id);
    Ok(EventPage { items: found.into_iter().map(EventItem::from).collect(), next })
}

/// One event, and the body of the delivery that told of it first, opened.
///
/// # Errors
/// [`Refusal::NotFound`]; what the limits and the store refuse.
pub async fn event(cx: &Context, caller: &AccessClaims, id: WebhookEventId) -> Result<(EventItem, Body), Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let row = rows::by_id(&mut tx, id).await?.ok_or(Refusal::NotFound)?;
    let sealed = rows::body(&mut tx, row.delivery).await?.ok_or(Refusal::NotFound)?;
    let sealed = Sealed::from_stored(sealed).map_err(|_| Refusal::Internal)?;
    let body = cx.live.keys.open_sealed(&Body::place(&row.delivery), &sealed).map_err(|_| Refusal::Internal)?;
    Ok((row.into(), body))
}

/// Lets an event that is parked have its effect after all: it waits as if it were new, and is looked at at once. One that waits
/// for its next try does not wait any longer.
///
/// # Errors
/// [`Refusal::NotFound`]; [`Refusal::EventDone`] where it had its effect, or has none; what the limits and the store refuse.
pub async fn replay(cx: &Context, caller: &AccessClaims, id: WebhookEventId) -> Result<EventItem, Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let is_again = webhook_inbox::replay(&mut tx, id, now).await?;
    let row = rows::by_id(&mut tx, id).await?.ok_or(Refusal::NotFound)?;
    if !is_again {
        return Err(Refusal::EventDone);
    }
    let (node, tenant) = (Arc::clone(&cx.node), cx.slot.id);
    tx.after_commit(move || node.inbox.wake(tenant, now));
    let actor = Actor::Member(caller.sub);
    audit::record_request(&mut tx, cx, Action::WebhookEventReplayed, actor, id.uuid()).await?;
    tx.commit().await?;
    Ok(row.into())
}

/// What was refused, the last one first: one row for each provider and cause.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn refusals(cx: &Context, caller: &AccessClaims) -> Result<Vec<RefusalItem>, Refusal> {
    cx.admit_member(caller).await?;
    let rows = webhook_refusal::all(&mut cx.node.store.read(cx.slot.id).await?).await?;
    Ok(rows.into_iter().map(RefusalItem::from).collect())
}
