//! A tenant's endpoints: where it is told of what happens.

pub(crate) mod notice;

use std::time::Duration;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor, Event};
use freehold_domain::id::WebhookEndpointId;
use freehold_domain::keys::Sealed;
use freehold_domain::plan::Quota;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use freehold_domain::webhook_out::{ENDPOINTS_MAX, EndpointSecret, OVERLAP_DEFAULT, Profile, Topics};
use freehold_storage::webhook_endpoint::{self as rows, WebhookEndpointRow};
use freehold_storage::{TenantTx, audit as log};

use crate::breakers::{self, ByHand};
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::refusal::Refusal;
use crate::ops::tenant_change;
use crate::plans;
use crate::webhooks_out::integration;

/// An endpoint as admins see it.
#[derive(Clone, Debug)]
pub struct EndpointItem {
    /// Which.
    pub id: WebhookEndpointId,
    /// Where it is.
    pub url: String,
    /// What it is called.
    pub description: String,
    /// Which events it is told of.
    pub topics: Vec<String>,
    /// How it is told.
    pub profile: String,
    /// The last characters of its secret.
    pub last4: String,
    /// Until when the secret before that is good too, if it is.
    pub previous_until: Option<UnixMs>,
    /// Since when nothing was taken there.
    pub failing_since: Option<UnixMs>,
    /// Since when nothing is sent there, and why.
    pub disabled: Option<(UnixMs, String)>,
    /// Since when it is there.
    pub created_at: UnixMs,
}

/// What an admin says of an endpoint.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Where it is, as it was written.
    pub url: String,
    /// What it is called.
    pub description: String,
    /// Which events it is told of.
    pub topics: Topics,
    /// How it is told.
    pub profile: Profile,
}

/// What an admin changes of one.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Where it is.
    pub url: Option<String>,
    /// What it is called.
    pub description: Option<String>,
    /// Which events it is told of.
    pub topics: Option<Topics>,
    /// How it is told.
    pub profile: Option<Profile>,
}

/// All endpoints, the oldest first.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(cx: &Context, caller: &AccessClaims) -> Result<Vec<EndpointItem>, Refusal> {
    cx.admit_member(caller).await?;
    let all = rows::all(&mut cx.node.store.read(cx.slot.id).await?).await?;
    Ok(all.iter().map(|row| item(cx, row)).collect())
}

/// One endpoint.
///
/// # Errors
/// [`Refusal::NotFound`]; what the limits and the store refuse.
pub async fn one(cx: &Context, caller: &AccessClaims, id: WebhookEndpointId) -> Result<EndpointItem, Refusal> {
    cx.admit_member(caller).await?;
    let row = rows::by_id(&mut cx.node.store.read(cx.slot.id).await?, id).await?;
    Ok(item(cx, &row.ok_or(Refusal::NotFound)?))
}

/// Makes an endpoint, which is told of what happens from now on; and its secret, which is shown here and never again.
///
/// # Errors
/// [`Refusal::Url`], [`Refusal::Enough`], [`Refusal::NotFresh`]; what the limits and the store refuse.
pub async fn create(
    cx: &Context,
    caller: &AccessClaims,
    wish: Wish,
) -> Result<(EndpointItem, Secret<String>), Refusal> {
    cx.admit_member(caller).await?;
    let url = cx.node.outbox.client.admit(&wish.url).await.map_err(Refusal::Url)?;
    let now = cx.node.ambient.now();
    let (id, secret) = (WebhookEndpointId::new(now, cx.node.ambient.random()), fresh_secret(cx));
    let mut tx = begin_fresh(cx, caller).await?;
    let head = log::hold(&mut tx).await?.seq; // and nobody else makes one meanwhile
    if rows::all(&mut tx).await?.len() >= ENDPOINTS_MAX {
        return Err(Refusal::Enough);
    }
    plans::admit(cx, &mut tx, Quota::WebhookEndpoints).await?;
    let row = WebhookEndpointRow {
        id,
        url: url.to_string(),
        description: wish.description,
        topics: wish.topics.to_string(),
        profile: wish.profile.to_string(),
        secret_sealed: cx.seal(EndpointSecret::place(&id), &secret)?,
        previous: None,
        after_seq: head,
        failing_since_ms: None,
        disabled: None,
        created_at_ms: now,
    };
    rows::insert(&mut tx, &row).await?;
    rows::begin(&mut tx, head).await?;
    finish(cx, tx, Action::WebhookEndpointCreated, (caller, id)).await?;
    Ok((item(cx, &row), secret.text()))
}

/// Changes an endpoint. Messages that wait go where it is then.
///
/// # Errors
/// As [`create`]; [`Refusal::NotFound`].
pub async fn change(
    cx: &Context,
    caller: &AccessClaims,
    id: WebhookEndpointId,
    change: Change,
) -> Result<EndpointItem, Refusal> {
    cx.admit_member(caller).await?;
    let url = match &change.url {
        Some(url) => Some(cx.node.outbox.client.admit(url).await.map_err(Refusal::Url)?.to_string()),
        None => None,
    };
    let mut tx = begin_fresh(cx, caller).await?;
    let mut row = rows::by_id(&mut tx, id).await?.ok_or(Refusal::NotFound)?;
    row.url = url.unwrap_or(row.url);
    row.description = change.description.unwrap_or(row.description);
    row.topics = change.topics.map_or(row.topics, |topics| topics.to_string());
    row.profile = change.profile.map_or(row.profile, |profile| profile.to_string());
    rows::change(&mut tx, &row).await?;
    finish(cx, tx, Action::WebhookEndpointChanged, (caller, id)).await?;
    Ok(item(cx, &row))
}

/// Gives an endpoint another secret; the one that was in force signs, too, for `overlap` (a day, where nothing is said).
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::NotFresh`], [`Refusal::Conflict`] when somebody else does so at once.
pub async fn rotate(
    cx: &Context,
    caller: &AccessClaims,
    id: WebhookEndpointId,
    overlap: Option<Duration>,
) -> Result<(EndpointItem, Secret<String>), Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = begin_fresh(cx, caller).await?;
    let mut row = rows::by_id(&mut tx, id).await?.ok_or(Refusal::NotFound)?;
    let (in_force, secret) = (open(cx, &row).ok(), fresh_secret(cx));
    let overlap = overlap.unwrap_or(OVERLAP_DEFAULT);
    row.previous = match in_force.filter(|_| !overlap.is_zero()) {
        None => None,
        Some(before) => {
            Some((cx.seal(EndpointSecret::previous_place(&id), &before)?, cx.node.ambient.now().plus(overlap)))
        }
    };
    let read = std::mem::replace(&mut row.secret_sealed, cx.seal(EndpointSecret::place(&id), &secret)?);
    let previous = row.previous.as_ref().map(|(sealed, until)| (sealed.as_slice(), *until));
    if !rows::rotate(&mut tx, id, (&read, &row.secret_sealed), previous).await? {
        return Err(Refusal::Conflict);
    }
    finish(cx, tx, Action::WebhookEndpointRotated, (caller, id)).await?;
    Ok((item(cx, &row), secret.text()))
}

/// Has nothing sent to an endpoint any more, or messages sent again. Of what happens meanwhile it is not told by itself:
/// [`replay_since`](super::webhook_messages::replay_since).
///
/// # Errors
/// [`Refusal::NotFound`]; what the limits and the store refuse.
pub async fn set_enabled(
    cx: &Context,
    caller: &AccessClaims,
    id: WebhookEndpointId,
    is_enabled: bool,
) -> Result<EndpointItem, Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let mut row = rows::by_id(&mut tx, id).await?.ok_or(Refusal::NotFound)?;
    let now = cx.node.ambient.now();
    let (has_changed, action) = if is_enabled {
        row.failing_since_ms = row.failing_since_ms.filter(|_| row.disabled.is_none());
        let head = log::hold(&mut tx).await?.seq;
        (rows::enable(&mut tx, id, head).await?, Action::WebhookEndpointEnabled)
    } else {
        (rows::disable(&mut tx, id, now, "by-hand").await?, Action::WebhookEndpointDisabled)
    };
    if !has_changed {
        return Ok(item(cx, &row));
    }
    row.disabled = (!is_enabled).then(|| (now, "by-hand".to_owned()));
    finish(cx, tx, action, (caller, id)).await?;
    if is_enabled {
        by_hand(cx, id, ByHand::Reset).await?;
        cx.node.outbox.wake(cx.slot.id, now); // after finish, which woke while the breaker was open
    }
    Ok(item(cx, &row))
}

/// Takes an endpoint away, with its messages and what is known of them.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::NotFresh`]; what the limits and the store refuse.
pub async fn remove(cx: &Context, caller: &AccessClaims, id: WebhookEndpointId) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = begin_fresh(cx, caller).await?;
    if !rows::remove(&mut tx, id).await? {
        return Err(Refusal::NotFound);
    }
    finish(cx, tx, Action::WebhookEndpointRemoved, (caller, id)).await?;
    by_hand(cx, id, ByHand::Forget).await
}

/// Has an endpoint told that it is tried, whatever it wants to be told of.
///
/// # Errors
/// [`Refusal::NotFound`]; [`Refusal::Collides`] for one that is disabled; what the limits and the store refuse.
pub async fn test(cx: &Context, caller: &AccessClaims, id: WebhookEndpointId) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let row = rows::by_id(&mut tx, id).await?.ok_or(Refusal::NotFound)?;
    if row.disabled.is_some() {
        return Err(Refusal::Collides);
    }
    let (action, actor) = (Action::WebhookEndpointTested, Actor::Member(caller.sub));
    audit::record_request(&mut tx, cx, action, actor, id.uuid()).await?;
    Ok(tx.commit().await?)
}

async fn by_hand(cx: &Context, id: WebhookEndpointId, by_hand: ByHand) -> Result<(), Refusal> {
    let integration = integration(id);
    Ok(cx.node.ask(&cx.slot, |reply| breakers::Msg::ByHand(integration.clone(), by_hand, reply)).await?)
}

async fn finish(
    cx: &Context,
    mut tx: TenantTx,
    action: Action,
    (caller, id): (&AccessClaims, WebhookEndpointId),
) -> Result<(), Refusal> {
    let change = tenant_change::announce(&mut tx, &cx.node, &cx.slot, cx.node.ambient.now()).await?;
    let detail = cx.client.origin.detail();
    let event = Event { action, actor: Actor::Member(caller.sub), subject: Some(id.uuid()), detail };
    audit::record(&mut tx, &cx.node, &cx.live.keys, &event).await?;
    change.commit(tx, &cx.node, &cx.slot).await?;
    cx.node.outbox.wake(cx.slot.id, cx.node.ambient.now()); // the first one is told of its own making, too
    Ok(())
}

fn fresh_secret(cx: &Context) -> EndpointSecret {
    EndpointSecret::from_random(cx.node.ambient.random())
}

fn open(cx: &Context, row: &WebhookEndpointRow) -> Result<EndpointSecret, Refusal> {
    let sealed = Sealed::from_stored(row.secret_sealed.clone()).map_err(|_| Refusal::Internal)?;
    cx.live.keys.open_sealed(&EndpointSecret::place(&row.id), &sealed).map_err(|_| Refusal::Internal)
}

fn item(cx: &Context, row: &WebhookEndpointRow) -> EndpointItem {
    let now = cx.node.ambient.now();
    // One that does not open is shown all the same: it can be rotated.
    let last4 = open(cx, row).map(|secret| secret.text().last4()).unwrap_or_default();
    EndpointItem {
        id: row.id,
        url: row.url.clone(),
        description: row.description.clone(),
        topics: row.topics.split(',').map(str::to_owned).collect(),
        profile: row.profile.clone(),
        last4,
        previous_until: row.previous.as_ref().map(|(_, until)| *until).filter(|until| now < *until),
        failing_since: row.failing_since_ms,
        disabled: row.disabled.clone(),
        created_at: row.created_at_ms,
    }
}
