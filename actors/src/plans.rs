//! The plan that each tenant is on: what it may have of what a plan bounds, and what the platform's account at Stripe tells of it.
//!
//! Events of that account come to the platform's own tenant, whose secret signs them and whose inbox acts on them. What one tells
//! of another tenant is passed on into that tenant's store, by version like everything there, before the event is said to be done:
//! a node that dies in between passes it on again, and nothing changes by that.

use std::sync::Arc;

use freehold_domain::audit::{Action, Actor, Changed, Detail, Event};
use freehold_domain::id::TenantId;
use freehold_domain::plan::{Plan, Plans, Quota};
use freehold_domain::stripe::Effect;
use freehold_domain::tenant_state::TenantState;
use freehold_domain::time::UnixMs;
use freehold_storage::{StoreError, TenantTx, api_key, roster, stripe_account, stripe_subscription, webhook_endpoint};

use crate::node::load::{self, LoadError};
use crate::node::{Node, Unreachable};
use crate::ops::audit::{self, NotRecorded};
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::slot::TenantSlot;

/// Most subscriptions of a tenant that are looked at: it has one, and those that ended.
pub(crate) const BOUGHT_MAX: u32 = 50;

/// Why something could not be passed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPassedOn {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tenant(#[from] Unreachable),
    #[error(transparent)]
    Keys(#[from] LoadError),
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
    #[error("the tenant is being moved, or on hold")]
    NotServed,
}

/// What is sold to this tenant: nothing where nothing is sold, and nothing to the platform itself.
pub(crate) fn sold_to<'n>(node: &'n Node, slot: &TenantSlot) -> Option<&'n Plans> {
    node.stripe.as_ref().map(|stripe| &stripe.plans).filter(|_| !slot.slug.is_platform())
}

/// The plan that a tenant is on at `now`.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub(crate) async fn in_force(tx: &mut TenantTx, plans: &Plans, now: UnixMs) -> Result<Plan, StoreError> {
    let bought = stripe_subscription::of_platform(tx, BOUGHT_MAX).await?;
    Ok(plans.in_force(bought.iter().map(|row| &row.fact.state), now))
}

/// How much the tenant has of this. For members, while the roster is held.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub(crate) async fn used(tx: &mut TenantTx, quota: Quota, now: UnixMs) -> Result<u32, StoreError> {
    let used = match quota {
        Quota::Members => return Ok(u32::try_from(roster::active(tx).await?).unwrap_or(u32::MAX)),
        Quota::ApiKeys => api_key::live(tx, now, freehold_domain::api_key::KEYS_MAX).await?.len(),
        Quota::WebhookEndpoints => webhook_endpoint::all(tx).await?.len(),
    };
    Ok(u32::try_from(used).unwrap_or(u32::MAX))
}

/// Lets the tenant have one more of this, in the transaction that makes it. Whoever makes one at the same time is counted after it:
/// members while the roster is held, which is done here, and everything else while the head of the audit log is, which is held
/// already.
///
/// # Errors
/// [`Refusal::QuotaReached`]; what the store refuses.
pub(crate) async fn admit(cx: &Context, tx: &mut TenantTx, quota: Quota) -> Result<(), Refusal> {
    let Some(plans) = sold_to(&cx.node, &cx.slot) else { return Ok(()) };
    let now = cx.node.ambient.now();
    if quota == Quota::Members {
        roster::hold(tx).await?;
    }
    let used = used(tx, quota, now).await?;
    plans.admit(in_force(tx, plans, now).await?, quota, used).map_err(Refusal::QuotaReached)
}

/// Writes into a tenant's store what an event of the platform's tells of it.
///
/// # Errors
/// [`NotPassedOn`], also for a tenant that there is not: somebody pays for nothing, or wrote another id.
pub(crate) async fn pass_on(node: &Node, tenant: TenantId, effect: &Effect) -> Result<(), NotPassedOn> {
    let slot = node.slot_of(tenant).await?;
    let state = slot.standing().state_at(node.ambient.now());
    if slot.slug.is_platform() {
        return Ok(()); // it sells, and is sold nothing
    }
    if matches!(state, TenantState::Draining | TenantState::Held) {
        return Err(NotPassedOn::NotServed);
    }
    let written = write(node, &slot, effect).await;
    if slot.live().is_none() {
        node.store.close_tenant(tenant).await;
    }
    written
}

async fn write(node: &Node, slot: &Arc<TenantSlot>, effect: &Effect) -> Result<(), NotPassedOn> {
    let now = node.ambient.now();
    let keys = load::keys(node, slot).await?;
    let mut tx = node.store.write(slot.id).await?;
    match (effect, sold_to(node, slot)) {
        (Effect::Subscription(fact), Some(plans)) => {
            let before = in_force(&mut tx, plans, now).await?;
            stripe_subscription::fold(&mut tx, fact, now).await?;
            let after = in_force(&mut tx, plans, now).await?;
            if after != before {
                audit::record(&mut tx, node, &keys, &changed(slot.id, before, after)).await?;
                tracing::info!(tenant.id = %slot.id, from = %before, to = %after, "a tenant's plan changed");
            }
        }
        (Effect::Subscription(fact), None) => stripe_subscription::fold(&mut tx, fact, now).await?,
        (Effect::Account(fact), _) => stripe_account::fold(&mut tx, fact, now).await?,
    }
    Ok(tx.commit().await?)
}

fn changed(tenant: TenantId, before: Plan, after: Plan) -> Event {
    let changes = vec![Changed { field: "plan".to_owned(), from: before.to_string(), to: after.to_string() }];
    let detail = Detail { changes, ..Detail::default() };
    Event { action: Action::PlanChanged, actor: Actor::System, subject: Some(tenant.uuid()), detail }
}
