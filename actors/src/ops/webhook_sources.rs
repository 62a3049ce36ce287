//! The secrets of providers' webhooks, as a tenant's admins set them. In force on the next delivery to this node, and to the
//! others within a second.

use std::time::Duration;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor, Event};
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use freehold_domain::webhook::{OVERLAP_DEFAULT, Source};
use freehold_storage::webhook_source::{self as rows, WebhookSourceRow};
use freehold_storage::{TenantTx, custom_domain};

use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::refusal::Refusal;
use crate::ops::tenant_change;
use crate::webhook_sources::KnownSource;

/// A source as admins see it.
#[derive(Clone, Debug)]
pub struct SourceItem {
    /// Which.
    pub source: Source,
    /// To where its provider posts.
    pub urls: Vec<String>,
    /// What is set, if anything is.
    pub set: Option<SecretItem>,
}

/// A secret as admins see it: what it is, is never shown.
#[derive(Clone, Debug)]
pub struct SecretItem {
    /// Its last characters.
    pub last4: String,
    /// Since when it is in force.
    pub set_at: UnixMs,
    /// Until when the one before it is good too, if it is.
    pub previous_until: Option<UnixMs>,
}

/// Every source there can be, with what is set.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(cx: &Context, caller: &AccessClaims) -> Result<Vec<SourceItem>, Refusal> {
    cx.admit_member(caller).await?;
    let origins = origins(cx).await?;
    Source::ALL.into_iter().map(|source| item(cx, source, &origins)).collect()
}

/// The tenant's own: of the platform's host, and of each custom domain that leads to it.
async fn origins(cx: &Context) -> Result<Vec<String>, Refusal> {
    let rows = custom_domain::list(&mut cx.node.store.system_read().await?, cx.slot.id).await?;
    let attached = rows.into_iter().filter(|row| row.attached_at_ms.is_some());
    let own = attached.map(|row| cx.node.settings.origin(&row.domain));
    Ok([cx.live.issuer.to_string()].into_iter().chain(own).collect())
}

fn item(cx: &Context, source: Source, origins: &[String]) -> Result<SourceItem, Refusal> {
    let urls = origins.iter().map(|origin| format!("{origin}/webhooks/{}", source.provider())).collect();
    let known = cx.live.webhook_sources.iter().find(|known| known.source == source);
    Ok(SourceItem { source, urls, set: known.map(|known| secret_item(cx, known)).transpose()? })
}

fn secret_item(cx: &Context, known: &KnownSource) -> Result<SecretItem, Refusal> {
    let now = cx.node.ambient.now();
    let (secret, previous) = known.open(&cx.live.keys, now).map_err(|_| Refusal::Internal)?;
    let previous_until = known.previous.as_ref().filter(|_| previous.is_some()).map(|(_, until)| *until);
    Ok(SecretItem { last4: secret.last4(), set_at: known.set_at, previous_until })
}

/// Sets the secret of a source; the one that was in force is good for `overlap` more (a day, where nothing is said), and one before
/// that not any more. Setting the one that is in force changes nothing, but for the one before it, whose time an `overlap` that is
/// said can make shorter.
///
/// # Errors
/// [`Refusal::NotFresh`] for a session that was started too long ago; what the limits and the store refuse.
pub async fn set(
    cx: &Context,
    caller: &AccessClaims,
    source: Source,
    (secret, said): (Secret<String>, Option<Duration>),
) -> Result<SecretItem, Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let keys = &cx.live.keys;
    let mut tx = begin_fresh(cx, caller).await?;
    let secret_sealed = cx.seal(source.secret_place(), &secret)?;
    let mut row = WebhookSourceRow { source: source.to_string(), secret_sealed, set_at_ms: now, previous: None };
    // Two that set the first one at once: the one that loses finds the other's below.
    if !rows::insert(&mut tx, source.as_str(), &row.secret_sealed, now).await? {
        let known = rows::all(&mut tx).await?.into_iter().find(|known| known.source == row.source);
        let known = KnownSource::read(known.ok_or(Refusal::Conflict)?)?;
        let (in_force, _) = known.open(keys, now).map_err(|_| Refusal::Internal)?;
        if in_force == secret {
            return shorten(cx, tx, caller, (known, secret), said).await;
        }
        let overlap = said.unwrap_or(OVERLAP_DEFAULT);
        if !overlap.is_zero() {
            let sealed = cx.seal(source.previous_place(), &in_force)?;
            row.previous = Some((sealed, now.plus(overlap)));
        }
        rows::update(&mut tx, &row).await?;
    }
    finish(cx, tx, Action::WebhookSecretSet, caller, source).await?;
    Ok(SecretItem { last4: secret.last4(), set_at: now, previous_until: row.previous.map(|(_, until)| until) })
}

/// Ends the time of the secret before the one in force earlier than it would end.
async fn shorten(
    cx: &Context,
    mut tx: TenantTx,
    caller: &AccessClaims,
    (known, secret): (KnownSource, Secret<String>),
    said: Option<Duration>,
) -> Result<SecretItem, Refusal> {
    let (now, source, set_at) = (cx.node.ambient.now(), known.source, known.set_at);
    let previous = known.previous.filter(|(_, until)| now < *until);
    let earlier = said.map(|said| now.plus(said)).filter(|end| previous.as_ref().is_some_and(|(_, until)| end < until));
    let previous_until = earlier.or(previous.as_ref().map(|(_, until)| *until)).filter(|until| now < *until);
    if earlier.is_some() {
        let previous = previous.map(|(sealed, _)| sealed.into_bytes()).zip(previous_until);
        let secret_sealed = known.secret.into_bytes();
        let row = WebhookSourceRow { source: source.to_string(), secret_sealed, set_at_ms: set_at, previous };
        rows::update(&mut tx, &row).await?;
        finish(cx, tx, Action::WebhookSecretSet, caller, source).await?;
    }
    Ok(SecretItem { last4: secret.last4(), set_at, previous_until })
}

/// Takes the secret of a source away, and the one before it: its deliveries are refused from now on. What was accepted stays.
///
/// # Errors
/// [`Refusal::NotFound`] where none is set; [`Refusal::NotFresh`]; what the limits and the store refuse.
pub async fn remove(cx: &Context, caller: &AccessClaims, source: Source) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = begin_fresh(cx, caller).await?;
    if !rows::remove(&mut tx, source.as_str()).await? {
        return Err(Refusal::NotFound);
    }
    finish(cx, tx, Action::WebhookSecretRemoved, caller, source).await
}

async fn finish(
    cx: &Context,
    mut tx: TenantTx,
    action: Action,
    caller: &AccessClaims,
    source: Source,
) -> Result<(), Refusal> {
    let change = tenant_change::announce(&mut tx, &cx.node, &cx.slot, cx.node.ambient.now()).await?;
    let mut detail = cx.client.origin.detail();
    detail.source = Some(source.to_string());
    let event = Event { action, actor: Actor::Member(caller.sub), subject: Some(cx.slot.id.uuid()), detail };
    audit::record(&mut tx, &cx.node, &cx.live.keys, &event).await?;
    Ok(change.commit(tx, &cx.node, &cx.slot).await?)
}
