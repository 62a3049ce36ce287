//! Asking Stripe for a tenant: behind its breaker, with one of its places; and making what there is one of.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor};
use freehold_domain::stripe::call::{Call, NotAnAnswer};
use freehold_storage::Chain;
use freehold_storage::stripe_made::{self, Kind};
use uuid::Uuid;

use crate::integrations::{Health, guarded};
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::stripe::{Failed, GUARDED, Stripe};

/// Where everybody is sent back to who was sent to Stripe.
pub(super) fn back(cx: &Context) -> String {
    format!("{}/billing/return", cx.live.issuer)
}

/// A key for a call that is made once.
pub(super) fn fresh(cx: &Context) -> Uuid {
    uuid::Builder::from_random_bytes(cx.node.ambient.random()).into_uuid()
}

/// Makes a call for the tenant.
///
/// # Errors
/// The refusal of a call that was not made, or the failure of one that was.
pub(super) async fn ask<T>(
    cx: &Context,
    stripe: &Stripe,
    (call, once): (&Call, Uuid),
    read: impl Fn(&str) -> Result<T, NotAnAnswer>,
) -> Result<Result<T, Failed>, Refusal> {
    let asked = async {
        let answered = stripe.ask(call, once, read).await;
        let health = answered.as_ref().map_or_else(Failed::health, |_| Health::Well);
        (answered, health)
    };
    let answered = guarded(&cx.node, &cx.slot, GUARDED, asked).await?;
    if let Err(failed) = &answered {
        tracing::warn!(tenant.id = %cx.slot.id, call = call.path, error = %Chain(failed), "Stripe did not do it");
    }
    Ok(answered)
}

/// Makes a call for the tenant that can fail for no reason of the tenant's.
///
/// # Errors
/// [`Refusal::Overloaded`] where the tenant has no place for another call; [`Refusal::Unavailable`] where Stripe does not do it, or
/// is left alone.
pub(super) async fn ask_or_fail<T>(
    cx: &Context,
    stripe: &Stripe,
    call: &Call,
    read: impl Fn(&str) -> Result<T, NotAnAnswer>,
) -> Result<T, Refusal> {
    ask(cx, stripe, (call, fresh(cx)), read).await?.map_err(|_| Refusal::Unavailable)
}

/// What there is of this kind; made by this call where there is none. Of all who ask at once, on whatever node, and of all who ask
/// again because they know of no answer, one makes it.
///
/// # Errors
/// [`ask_or_fail`]'s, and what the store refuses.
pub(super) async fn made<I: std::str::FromStr + ToString>(
    cx: &Context,
    stripe: &Stripe,
    caller: &AccessClaims,
    (kind, call): (Kind, &Call),
) -> Result<I, Refusal> {
    let store = &cx.node.store;
    let mut tx = store.write(cx.slot.id).await?;
    stripe_made::begin(&mut tx, kind, fresh(cx)).await?;
    let row = stripe_made::of(&mut tx, kind).await?.ok_or(Refusal::Internal)?;
    tx.commit().await?;
    if let Some(id) = row.id {
        return id.parse().map_err(|_| Refusal::Internal);
    }
    let answered = ask(cx, stripe, (call, row.attempt), freehold_domain::stripe::call::id::<I>).await?;
    let mut tx = store.write(cx.slot.id).await?;
    let id = match answered {
        Ok(id) => id,
        Err(failed) => {
            if failed.is_final() {
                stripe_made::renew(&mut tx, kind, row.attempt, fresh(cx)).await?;
                tx.commit().await?;
            }
            return Err(Refusal::Unavailable);
        }
    };
    if stripe_made::found(&mut tx, kind, row.attempt, &id.to_string()).await? {
        if kind == Kind::Account {
            let by = Actor::Member(caller.sub);
            audit::record_request(&mut tx, cx, Action::PayoutAccountMade, by, cx.slot.id.uuid()).await?;
        }
        tx.commit().await?;
        return Ok(id);
    }
    let known = stripe_made::of(&mut tx, kind).await?.and_then(|row| row.id); // a rival wrote it down
    known.ok_or(Refusal::Conflict)?.parse().map_err(|_| Refusal::Internal)
}

/// Records what an admin did here, in a transaction of its own.
pub(super) async fn record_alone(cx: &Context, caller: &AccessClaims, action: Action) -> Result<(), Refusal> {
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    audit::record_request(&mut tx, cx, action, Actor::Member(caller.sub), cx.slot.id.uuid()).await?;
    Ok(tx.commit().await?)
}
