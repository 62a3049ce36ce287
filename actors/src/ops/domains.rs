//! Custom domains: claim, prove, look again, give up.
//!
//! They stand in the system store, because a host must be found before its tenant is. What happened is recorded in the
//! tenant's log afterwards, in a transaction of its own: a crash in between leaves a name without its row there.

use std::sync::Arc;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor, Detail, Event};
use freehold_domain::custom_domain::{CLAIM_KEPT, Challenge, DOMAINS_MAX, DomainName, Finding, LOOK_EVERY, Look, Next};
use freehold_domain::id::TenantId;
use freehold_domain::slug::Slug;
use freehold_domain::time::UnixMs;
use freehold_storage::custom_domain::{self as rows, CustomDomainRow};
use freehold_storage::{Chain, StoreError};

use crate::gate;
use crate::metric;
use crate::node::Node;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::ops::tenants::{self, By, TenantRefusal};

/// Most looks of one round.
const ROUND: u32 = 100;

/// A name of the tenant's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainItem {
    /// The name.
    pub name: DomainName,
    /// What its proof shows.
    pub challenge: Challenge,
    /// When it was claimed, or detached.
    pub claimed_at: UnixMs,
    /// Since when it leads to the tenant, if it does.
    pub attached_at: Option<UnixMs>,
    /// When the proof was last looked for.
    pub looked_at: Option<UnixMs>,
    /// Since when the proof is gone, if it is.
    pub failing_since: Option<UnixMs>,
    /// When the name is detached if the proof stays gone, or the claim is forgotten if nobody proves it.
    pub ends_at: Option<UnixMs>,
    /// Whether browsers are told to take names under it for its own.
    pub hsts_subdomains: bool,
}

/// Why a wish about a domain was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainRefusal {
    /// The name is the platform's, or under it.
    #[error("the platform's own")]
    Platform,
    /// The tenant claims it already.
    #[error("claimed already")]
    Claimed,
    /// The tenant has as many as it may.
    #[error("too many")]
    TooMany,
    /// Neither proof is there.
    #[error("not proved")]
    NotProved(Look),
    /// It was looked at a moment ago.
    #[error("looked at a moment ago")]
    TooSoon,
    /// It leads to another tenant.
    #[error("attached to another tenant")]
    Attached,
}

/// The tenant's names, by name.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(cx: &Context, caller: &AccessClaims) -> Result<Vec<DomainItem>, Refusal> {
    cx.admit_member(caller).await?;
    let rows = rows::list(&mut cx.node.store.system_read().await?, cx.slot.id).await?;
    rows.into_iter().map(|row| item(&cx.node, row)).collect()
}

/// One of them.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn read(cx: &Context, caller: &AccessClaims, name: &DomainName) -> Result<DomainItem, Refusal> {
    cx.admit_member(caller).await?;
    find(cx, name).await
}

/// Claims a name: nothing leads anywhere yet, and nobody else is kept from it.
///
/// # Errors
/// [`DomainRefusal::Platform`], [`DomainRefusal::Claimed`], [`DomainRefusal::TooMany`].
pub async fn claim(cx: &Context, caller: &AccessClaims, name: &DomainName) -> Result<DomainItem, Refusal> {
    cx.admit_member(caller).await?;
    let node = &cx.node;
    if name.is_within(&node.settings.platform_domain) {
        return Err(DomainRefusal::Platform.into());
    }
    let challenge = Challenge::from_random(&node.ambient.random());
    let now = node.ambient.now();
    let mut tx = node.store.system_write_for(cx.slot.id).await?;
    if rows::one(&mut tx, cx.slot.id, name.as_str()).await?.is_some() {
        return Err(DomainRefusal::Claimed.into());
    }
    if !rows::claim(&mut tx, cx.slot.id, name.as_str(), challenge.as_str(), now, DOMAINS_MAX).await? {
        return Err(DomainRefusal::TooMany.into());
    }
    tx.commit().await?;
    record(cx, caller, Action::DomainClaimed, name).await?;
    find(cx, name).await
}

/// Looks for the proof, and attaches the name where it is there. An attached name is looked at as by the schedule.
///
/// # Errors
/// [`Refusal::NotFound`]; [`Refusal::Overloaded`] while too many looks of the tenant are under way;
/// [`DomainRefusal::TooSoon`], [`DomainRefusal::NotProved`], [`DomainRefusal::Attached`].
pub async fn verify(cx: &Context, caller: &AccessClaims, name: &DomainName) -> Result<DomainItem, Refusal> {
    cx.admit_member(caller).await?;
    let (node, tenant) = (&cx.node, cx.slot.id);
    let known = find(cx, name).await?;
    let _place = cx.slot.call_outside(gate::LOOKS_MAX)?;
    let now = node.ambient.now();
    let mut tx = node.store.system_write_for(tenant).await?;
    if !rows::begin_look(&mut tx, tenant, name.as_str(), now, now.minus(LOOK_EVERY)).await? {
        return Err(DomainRefusal::TooSoon.into());
    }
    tx.commit().await?;
    let look = node.proofs.look(name, &known.challenge).await;
    let now = node.ambient.now();
    if known.attached_at.is_some() {
        settle(node, tenant, name, known.failing_since, look.finding(), now).await?;
        return if look.finding() == Finding::Proved {
            find(cx, name).await
        } else {
            Err(DomainRefusal::NotProved(look).into())
        };
    }
    if look.finding() != Finding::Proved {
        return Err(DomainRefusal::NotProved(look).into());
    }
    let look_at = now.plus(node.proofs.rules().recheck);
    let mut tx = node.store.system_write_for(tenant).await?;
    match rows::attach(&mut tx, tenant, name.as_str(), now, look_at).await {
        Ok(true) => {}
        Ok(false) => return find(cx, name).await, // by a rival of ours, or it was given up meanwhile
        Err(StoreError::Conflict { .. }) => return Err(DomainRefusal::Attached.into()),
        Err(error) => return Err(error.into()),
    }
    tx.commit().await?;
    node.domains.forget(name.as_str());
    tracing::info!(tenant.id = %tenant, domain = name.as_str(), "a custom domain was attached");
    record(cx, caller, Action::DomainAttached, name).await?;
    find(cx, name).await
}

/// Sets what browsers are told of names under it.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn set_hsts(
    cx: &Context,
    caller: &AccessClaims,
    name: &DomainName,
    hsts_subdomains: bool,
) -> Result<DomainItem, Refusal> {
    cx.admit_member(caller).await?;
    let known = find(cx, name).await?;
    if known.hsts_subdomains == hsts_subdomains {
        return Ok(known);
    }
    let mut tx = cx.node.store.system_write_for(cx.slot.id).await?;
    rows::set_hsts(&mut tx, cx.slot.id, name.as_str(), hsts_subdomains).await?;
    tx.commit().await?;
    cx.node.domains.forget(name.as_str());
    record(cx, caller, Action::DomainChanged, name).await?;
    find(cx, name).await
}

/// Gives a name up: it leads nowhere from the next request on, and is free for others.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn remove(cx: &Context, caller: &AccessClaims, name: &DomainName) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.system_write_for(cx.slot.id).await?;
    if !rows::delete(&mut tx, cx.slot.id, name.as_str()).await? {
        return Err(Refusal::NotFound);
    }
    tx.commit().await?;
    cx.node.domains.forget(name.as_str());
    record(cx, caller, Action::DomainRemoved, name).await
}

/// The names of the tenant called `slug`, for operators.
///
/// # Errors
/// [`TenantRefusal::Unknown`], or what the store refuses.
pub async fn list_of(node: &Node, slug: &Slug) -> Result<Vec<DomainItem>, TenantRefusal> {
    let slot = tenants::slot(node, slug).await?;
    let rows = rows::list(&mut node.store.system_read().await?, slot.id).await?;
    rows.into_iter().map(|row| item(node, row).map_err(|_| TenantRefusal::Internal)).collect()
}

/// Takes a name away from the tenant called `slug`. `false` when it has no such name.
///
/// # Errors
/// [`TenantRefusal::Unknown`], what the store refuses, [`TenantRefusal::Unrecorded`] for one that is gone.
pub async fn remove_of(node: &Node, slug: &Slug, name: &DomainName, by: &By) -> Result<bool, TenantRefusal> {
    let slot = tenants::slot(node, slug).await?;
    let mut tx = node.store.system_write_for(slot.id).await?;
    if !rows::delete(&mut tx, slot.id, name.as_str()).await? {
        return Ok(false);
    }
    tx.commit().await?;
    node.domains.forget(name.as_str());
    let event = by.event(slot.id, Action::DomainRemoved, of(name));
    audit::record_alone(node, &slot, &event).await.map_err(TenantRefusal::Unrecorded)?;
    Ok(true)
}

/// Looks at the attached names that are due. Each look is taken by one node.
///
/// # Errors
/// [`StoreError`]: what was not looked at stays due.
pub async fn look_at_due(node: &Arc<Node>) -> Result<(), StoreError> {
    let now = node.ambient.now();
    let due = rows::due(&mut node.store.system_read().await?, now, ROUND).await?;
    let mut looks = tokio::task::JoinSet::new();
    for row in due {
        let Some(at) = row.look_at_ms else { continue };
        let mut tx = node.store.system_write_for(row.tenant).await?;
        let again = now.plus(node.proofs.rules().retry);
        let is_taken = rows::take(&mut tx, row.tenant, &row.domain, at, again).await?;
        tx.commit().await?;
        if is_taken {
            let node = Arc::clone(node);
            looks.spawn(async move { look_again(&node, row).await });
        }
    }
    while let Some(looked) = looks.join_next().await {
        if let Ok(Err(error)) = looked {
            tracing::warn!(error = %Chain(&error), "what a look at a custom domain found was not noted");
        }
    }
    Ok(())
}

async fn look_again(node: &Node, row: CustomDomainRow) -> Result<(), StoreError> {
    let Ok(name) = row.domain.parse() else {
        return Err(StoreError::Corrupt { table: "custom_domain", id: row.domain });
    };
    let look = node.proofs.look(&name, &Challenge::from_stored(row.challenge)).await;
    settle(node, row.tenant, &name, row.failing_since_ms, look.finding(), node.ambient.now()).await
}

/// Notes what a look at an attached name found, and detaches it when its proof is gone for too long.
async fn settle(
    node: &Node,
    tenant: TenantId,
    name: &DomainName,
    failing_since: Option<UnixMs>,
    finding: Finding,
    now: UnixMs,
) -> Result<(), StoreError> {
    let mut tx = node.store.system_write_for(tenant).await?;
    match node.proofs.rules().after(failing_since, finding, now) {
        Next::Stays { failing_since, look_at } => {
            rows::keep(&mut tx, tenant, name.as_str(), now, (failing_since, look_at)).await?;
            tx.commit().await
        }
        Next::Detached => {
            let is_detached = rows::detach(&mut tx, tenant, name.as_str(), now).await?;
            tx.commit().await?;
            node.domains.forget(name.as_str());
            if is_detached {
                metrics::counter!(metric::DOMAINS_DETACHED).increment(1);
                tracing::warn!(tenant.id = %tenant, domain = name.as_str(), "a custom domain was detached: its proof is gone");
                record_detached(node, tenant, name).await;
            }
            Ok(())
        }
    }
}

async fn record_detached(node: &Node, tenant: TenantId, name: &DomainName) {
    let (action, subject) = (Action::DomainDetached, Some(tenant.uuid()));
    let event = Event { action, actor: Actor::System, subject, detail: of(name) };
    let recorded = match node.slot_of(tenant).await {
        Ok(slot) => audit::record_alone(node, &slot, &event).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = recorded {
        tracing::error!(tenant.id = %tenant, error, "that a custom domain was detached could not be recorded");
    }
}

async fn find(cx: &Context, name: &DomainName) -> Result<DomainItem, Refusal> {
    let row = rows::one(&mut cx.node.store.system_read().await?, cx.slot.id, name.as_str()).await?;
    item(&cx.node, row.ok_or(Refusal::NotFound)?)
}

fn item(node: &Node, row: CustomDomainRow) -> Result<DomainItem, Refusal> {
    let ends_at = match (row.attached_at_ms, row.failing_since_ms) {
        (None, _) => Some(row.claimed_at_ms.plus(CLAIM_KEPT)),
        (Some(_), Some(since)) => Some(since.plus(node.proofs.rules().detach_after)),
        (Some(_), None) => None,
    };
    Ok(DomainItem {
        name: row.domain.parse().map_err(|_| Refusal::Internal)?,
        challenge: Challenge::from_stored(row.challenge),
        claimed_at: row.claimed_at_ms,
        attached_at: row.attached_at_ms,
        looked_at: row.looked_at_ms,
        failing_since: row.failing_since_ms,
        ends_at,
        hsts_subdomains: row.hsts_subdomains,
    })
}

fn of(name: &DomainName) -> Detail {
    Detail { domain: Some(name.to_string()), ..Detail::default() }
}

async fn record(cx: &Context, caller: &AccessClaims, action: Action, name: &DomainName) -> Result<(), Refusal> {
    let (actor, subject) = (Actor::Member(caller.sub), Some(cx.slot.id.uuid()));
    let detail = Detail { domain: Some(name.to_string()), ..cx.client.origin.detail() };
    let event = Event { action, actor, subject, detail };
    audit::record_alone(&cx.node, &cx.slot, &event).await.map_err(|error| {
        tracing::error!(error = %Chain(&error), "what became of a custom domain could not be recorded");
        Refusal::Unavailable
    })
}
