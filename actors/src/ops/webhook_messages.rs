//! What endpoints were told, how each try went, and telling them again.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor};
use freehold_domain::id::{AuditId, WebhookEndpointId};
use freehold_domain::keys::Sealed;
use freehold_domain::time::UnixMs;
use freehold_domain::webhook_out::{Answered, KEPT, Profile, Topics};
use freehold_storage::webhook_endpoint::{self, WebhookEndpointRow};
use freehold_storage::webhook_message::{self as rows, WebhookAttemptRow, WebhookMessageRow};
use freehold_storage::{TenantTx, audit as log};

use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::webhooks_out::{place, told, wants};

/// Tries of a message that are shown.
const ATTEMPTS_MAX: u32 = 100;
/// Rows of the log that are looked at in one transaction.
const ROWS_MAX: u32 = 500;

/// A message as admins see it.
#[derive(Clone, Debug)]
pub struct MessageItem {
    /// Its number: that of the row of the audit log that it tells of.
    pub number: i64,
    /// What happened.
    pub kind: String,
    /// `waiting`, `delivered` or `failed`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next, while it waits.
    pub next_try_at: Option<UnixMs>,
    /// When it was written.
    pub created_at: UnixMs,
}

/// One try.
#[derive(Clone, Debug)]
pub struct AttemptItem {
    /// Its number, from 1.
    pub attempt: i64,
    /// When it began.
    pub at: UnixMs,
    /// How many milliseconds it took.
    pub took_ms: i64,
    /// What became of it, in a word.
    pub outcome: String,
    /// The status of the answer.
    pub status: Option<i64>,
    /// What was answered, cut.
    pub answer: Option<String>,
}

/// A message with what was sent and how each try went.
#[derive(Clone, Debug)]
pub struct MessageWhole {
    /// The message.
    pub item: MessageItem,
    /// The event that it tells of.
    pub event: AuditId,
    /// Its body.
    pub body: String,
    /// The last tries, the newest first.
    pub tries: Vec<AttemptItem>,
}

/// A part of the messages of an endpoint, the newest first.
#[derive(Clone, Debug)]
pub struct MessagePage {
    /// The messages.
    pub items: Vec<MessageItem>,
    /// Where the next part begins; `None` on the last.
    pub next: Option<i64>,
}

/// Which state is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Any.
    #[default]
    Any,
    /// To be sent.
    Waiting,
    /// Taken.
    Delivered,
    /// Tried so often that it is not tried any more.
    Failed,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

impl std::str::FromStr for State {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Waiting, Self::Delivered, Self::Failed].into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

/// The messages of an endpoint before the one of this number, at most `limit`.
///
/// # Errors
/// [`Refusal::NotFound`]; what the limits and the store refuse.
pub async fn list(
    cx: &Context,
    caller: &AccessClaims,
    endpoint: WebhookEndpointId,
    (before, state): (Option<i64>, State),
    limit: u32,
) -> Result<MessagePage, Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    webhook_endpoint::by_id(&mut tx, endpoint).await?.ok_or(Refusal::NotFound)?;
    let wanted = (before.unwrap_or(i64::MAX), state.as_str());
    let mut found = rows::before(&mut tx, endpoint, wanted, limit + 1).await?;
    drop(tx);
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|row| row.seq);
    Ok(MessagePage { items: found.into_iter().map(MessageItem::from).collect(), next })
}

/// One message.
///
/// # Errors
/// [`Refusal::NotFound`]; what the limits and the store refuse.
pub async fn one(
    cx: &Context,
    caller: &AccessClaims,
    (endpoint, number): (WebhookEndpointId, i64),
) -> Result<MessageWhole, Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let to = webhook_endpoint::by_id(&mut tx, endpoint).await?.ok_or(Refusal::NotFound)?;
    let tries = rows::attempts(&mut tx, endpoint, number, ATTEMPTS_MAX).await?; // first: what they came to is in the message then
    let row = rows::by_seq(&mut tx, endpoint, number).await?.ok_or(Refusal::NotFound)?;
    let event = log::by_seq(&mut tx, number).await?.ok_or(Refusal::Internal)?;
    drop(tx);
    let profile: Profile = to.profile.parse().map_err(|_| Refusal::Internal)?;
    let body = String::from_utf8(profile.body(&told(cx.slot.id, &event))).map_err(|_| Refusal::Internal)?;
    let tries = tries.into_iter().map(|tried| attempt(cx, (endpoint, number), tried)).collect();
    Ok(MessageWhole { item: row.into(), event: event.entry.id, body, tries })
}

/// Has one message sent again that was delivered or failed. One that waits is tried when it is due.
///
/// # Errors
/// [`Refusal::NotFound`]; [`Refusal::Collides`] where the endpoint is disabled; what the limits and the store refuse.
pub async fn replay(
    cx: &Context,
    caller: &AccessClaims,
    (endpoint, number): (WebhookEndpointId, i64),
) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    enabled(&mut tx, endpoint).await?;
    rows::by_seq(&mut tx, endpoint, number).await?.ok_or(Refusal::NotFound)?;
    if rows::again(&mut tx, endpoint, number, now).await? {
        note(cx, &mut tx, caller, endpoint).await?;
        tx.commit().await?;
        cx.node.outbox.wake(cx.slot.id, now);
    }
    Ok(())
}

/// Has an endpoint told, now, of everything since then that it wants and was not told: what failed or waits, and what happened
/// while it was disabled. How many messages that are.
///
/// # Errors
/// [`Refusal::NotFound`]; [`Refusal::Collides`] where the endpoint is disabled; what the limits and the store refuse.
pub async fn replay_since(
    cx: &Context,
    caller: &AccessClaims,
    endpoint: WebhookEndpointId,
    since: UnixMs,
) -> Result<u64, Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let since = since.max(now.minus(KEPT));
    let first = log::first_since(&mut cx.node.store.read(cx.slot.id).await?, since).await?;
    let mut after = first.map(|seq| seq - 1);
    let mut queued = 0;
    while let Some(from) = after {
        let mut tx = cx.node.store.write(cx.slot.id).await?;
        let to = enabled(&mut tx, endpoint).await?;
        let topics: Topics = to.topics.parse().map_err(|_| Refusal::Internal)?;
        // What nobody has looked at is told as ever.
        let looked_at = webhook_endpoint::cursor(&mut tx).await?.unwrap_or_default();
        let part = log::after(&mut tx, from, ROWS_MAX).await?;
        for row in part.iter().filter(|row| row.seq <= looked_at && wants(&topics, endpoint, row)) {
            let is_new = rows::insert(&mut tx, endpoint, (row.seq, &row.entry.action), now).await?;
            queued += u64::from(is_new || rows::not_delivered_again(&mut tx, endpoint, row.seq, now).await?);
        }
        after = part.last().map(|row| row.seq).filter(|last| *last < looked_at);
        if after.is_none() && queued > 0 {
            note(cx, &mut tx, caller, endpoint).await?;
        }
        tx.commit().await?;
    }
    enabled(&mut cx.node.store.read(cx.slot.id).await?, endpoint).await?;
    cx.node.outbox.wake(cx.slot.id, now);
    Ok(queued)
}

async fn enabled(tx: &mut TenantTx, endpoint: WebhookEndpointId) -> Result<WebhookEndpointRow, Refusal> {
    let row = webhook_endpoint::by_id(tx, endpoint).await?.ok_or(Refusal::NotFound)?;
    if row.disabled.is_some() { Err(Refusal::Collides) } else { Ok(row) }
}

async fn note(
    cx: &Context,
    tx: &mut TenantTx,
    caller: &AccessClaims,
    endpoint: WebhookEndpointId,
) -> Result<(), Refusal> {
    let (action, actor) = (Action::WebhookEndpointReplayed, Actor::Member(caller.sub));
    Ok(audit::record_request(tx, cx, action, actor, endpoint.uuid()).await?)
}

impl From<WebhookMessageRow> for MessageItem {
    fn from(row: WebhookMessageRow) -> Self {
        Self {
            number: row.seq,
            kind: row.kind,
            next_try_at: (row.state == State::Waiting.as_str()).then_some(row.next_try_at_ms),
            state: row.state,
            attempts: row.attempts,
            created_at: row.created_at_ms,
        }
    }
}

fn attempt(cx: &Context, (endpoint, number): (WebhookEndpointId, i64), row: WebhookAttemptRow) -> AttemptItem {
    let sealed = row.answer_sealed.and_then(|bytes| Sealed::<Answered>::from_stored(bytes).ok());
    let place = place(endpoint, number, row.attempt);
    let answer = sealed.and_then(|sealed| cx.live.keys.open_sealed(&Answered::place(&place), &sealed).ok());
    AttemptItem {
        attempt: row.attempt,
        at: row.at_ms,
        took_ms: row.took_ms,
        outcome: row.outcome,
        status: row.status,
        answer: answer.map(|answer| answer.text().to_owned()),
    }
}
