//! The services outside that a tenant has connected, for its admins: which there are, keys that are set, and whether they work.

pub mod connect;

use std::sync::Arc;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor, Event};
use freehold_domain::integration::key::Key;
use freehold_domain::integration::{Integration, Kind};
use freehold_domain::keys::Sealed;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use freehold_storage::integration::{self as rows, IntegrationRow};
use freehold_storage::{Chain, TenantTx};

pub use crate::integrations::Tried;
use crate::integrations::access::Holder;
use crate::integrations::{Failed, Health, Whose, guarded};
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::refusal::Refusal;

/// An integration as admins see it.
#[derive(Clone, Debug)]
pub struct IntegrationItem {
    /// Which.
    pub integration: Integration,
    /// Whether it can be connected here: the operator has made this server known to its provider, or it needs nothing of that.
    pub is_available: bool,
    /// What is connected, if anything is.
    pub connected: Option<ConnectedItem>,
}

/// What is connected, as admins see it: what opens it is never shown.
#[derive(Clone, Debug)]
pub struct ConnectedItem {
    /// Whose account it is, or where the service is.
    pub account: String,
    /// The last characters of the key or the access token.
    pub last4: String,
    /// Since when.
    pub set_at: UnixMs,
    /// When the access token ends, which is refreshed before.
    pub ends_at: Option<UnixMs>,
    /// When the provider said that the grant is over.
    pub expired_at: Option<UnixMs>,
}

impl From<IntegrationRow> for ConnectedItem {
    fn from(row: IntegrationRow) -> Self {
        Self {
            account: row.account,
            last4: row.last4,
            set_at: row.set_at_ms,
            ends_at: row.ends_at_ms,
            expired_at: row.expired_at_ms,
        }
    }
}

/// Every integration there can be, with what is connected.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(cx: &Context, caller: &AccessClaims) -> Result<Vec<IntegrationItem>, Refusal> {
    cx.admit_member(caller).await?;
    let mut known = rows::all(&mut cx.node.store.read(cx.slot.id).await?).await?;
    let item = |integration: Integration| {
        let at = known.iter().position(|row| row.name == integration.as_str());
        let connected = at.map(|at| known.swap_remove(at).into());
        let is_available = integration.kind() == Kind::Key || cx.node.integrations.app(integration).is_some();
        IntegrationItem { integration, is_available, connected }
    };
    Ok(Integration::ALL.into_iter().map(item).collect())
}

/// Sets a key, in the place of the one that was there.
///
/// # Errors
/// [`Refusal::Url`] for an address that may not be called; [`Refusal::NotFresh`] for a session that was started too long ago;
/// what the limits and the store refuse.
pub async fn set_key(cx: &Context, caller: &AccessClaims, key: Key) -> Result<ConnectedItem, Refusal> {
    cx.admit_member(caller).await?;
    if let Key::OpenAi { base_url, .. } = &key {
        cx.node.outbox.client.admit(base_url).await.map_err(Refusal::BaseUrl)?;
    }
    let (now, integration) = (cx.node.ambient.now(), key.integration());
    let mut tx = begin_fresh(cx, caller).await?;
    let row = IntegrationRow {
        name: integration.to_string(),
        secret_sealed: cx.seal(integration.secret_place(), &key)?,
        refresh_sealed: None,
        account: key.account().to_owned(),
        last4: key.last4(),
        set_at_ms: now,
        ends_at_ms: None,
        due_at_ms: None,
        expired_at_ms: None,
        version: now.get(),
    };
    rows::set(&mut tx, &row).await?;
    record(cx, &mut tx, (Action::IntegrationConnected, Actor::Member(caller.sub)), integration).await?;
    tx.commit().await?;
    Ok(row.into())
}

/// What became of what was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Whether the provider took its tokens back; `None` for a key, which only its service can take back.
    pub revoked: Option<bool>,
}

/// Takes it away, and has the provider take back what it gave out. Here it is gone in any case.
///
/// # Errors
/// [`Refusal::NotFound`] for what is not connected; [`Refusal::NotFresh`]; what the limits and the store refuse.
pub async fn remove(cx: &Context, caller: &AccessClaims, of: Integration) -> Result<Removed, Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = begin_fresh(cx, caller).await?;
    let row = rows::by_name(&mut tx, of.as_str()).await?.ok_or(Refusal::NotFound)?;
    if !rows::remove(&mut tx, of.as_str()).await? {
        return Err(Refusal::NotFound); // a rival did
    }
    let by = Actor::Member(caller.sub);
    record(cx, &mut tx, (Action::IntegrationDisconnected, by), of).await?;
    tx.commit().await?;
    if of.kind() == Kind::Key {
        return Ok(Removed { revoked: None });
    }
    let revoked = revoke(cx, of, row).await;
    if !revoked {
        let mut tx = cx.node.store.write(cx.slot.id).await?;
        record(cx, &mut tx, (Action::IntegrationNotRevoked, by), of).await?;
        tx.commit().await?;
    }
    Ok(Removed { revoked: Some(revoked) })
}

/// Whether the provider took back what was in this row.
async fn revoke(cx: &Context, of: Integration, row: IntegrationRow) -> bool {
    let Some(app) = cx.node.integrations.app(of) else { return false };
    let open = |place, bytes| {
        let sealed = Sealed::<Secret<String>>::from_stored(bytes).ok()?;
        cx.live.keys.open_sealed(&place, &sealed).ok()
    };
    let Some(access) = open(of.secret_place(), row.secret_sealed) else { return false };
    let refresh = row.refresh_sealed.and_then(|bytes| open(of.refresh_place(), bytes));
    let whose = Whose { client: &cx.node.outbox.client, account: &row.account };
    let asked = guarded(&cx.node, &cx.slot, of, async {
        let answered = app.revoke(whose, &access, refresh.as_ref()).await;
        let health = answered.as_ref().map_or_else(Failed::health, |()| Health::Well);
        (answered, health)
    });
    match asked.await {
        Ok(Ok(())) => true,
        Ok(Err(failed)) => {
            let integration = of.as_str();
            tracing::warn!(tenant.id = %cx.slot.id, integration, error = %Chain(&failed), "a grant was not taken back");
            false
        }
        Err(_) => false,
    }
}

/// Tries what is connected, in a call that changes nothing.
///
/// # Errors
/// [`Refusal::NotFound`] for what is not connected; [`Refusal::IntegrationExpired`]; [`Refusal::Overloaded`] where the tenant
/// has no place for another call; [`Refusal::Unavailable`] while it is left alone; what the limits and the store refuse.
pub async fn check(cx: &Context, caller: &AccessClaims, of: Integration) -> Result<Tried, Refusal> {
    cx.admit_member(caller).await?;
    let (node, slot) = (&cx.node, &cx.slot);
    if let Some(app) = node.integrations.app(of) {
        let (node, slot, live) = (Arc::clone(node), Arc::clone(slot), Arc::clone(&cx.live));
        let access = Holder { node, slot, live, of }.access().await?;
        let whose = Whose { client: &cx.node.outbox.client, account: &access.account };
        return guarded(&cx.node, &cx.slot, of, app.try_token(whose, &access.token)).await;
    }
    let row = rows::by_name(&mut node.store.read(slot.id).await?, of.as_str()).await?.ok_or(Refusal::NotFound)?;
    if of.kind() == Kind::Grant {
        return Err(Refusal::Unavailable); // the operator took away what this server is to its provider
    }
    let sealed = Sealed::from_stored(row.secret_sealed).map_err(|_| Refusal::Internal)?;
    let key: Key = cx.live.keys.open_sealed(&of.secret_place(), &sealed).map_err(|_| sealed_wrong(cx, of))?;
    guarded(node, slot, of, node.integrations.try_key(&node.outbox.client, &key)).await
}

fn sealed_wrong(cx: &Context, of: Integration) -> Refusal {
    tracing::error!(tenant.id = %cx.slot.id, integration = of.as_str(), "what is stored does not open");
    Refusal::Internal
}

async fn record(
    cx: &Context,
    tx: &mut TenantTx,
    (action, actor): (Action, Actor),
    of: Integration,
) -> Result<(), Refusal> {
    let mut detail = cx.client.origin.detail();
    detail.source = Some(of.to_string());
    let event = Event { action, actor, subject: Some(cx.slot.id.uuid()), detail };
    Ok(audit::record(tx, &cx.node, &cx.live.keys, &event).await?)
}
