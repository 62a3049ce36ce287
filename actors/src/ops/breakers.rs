//! A tenant's circuit breakers, for its admins.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor, Event};

use freehold_domain::breaker::Circuit;
use freehold_storage::webhook_endpoint;

use crate::breakers::{ByHand, Msg, Shown};
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::webhooks_out::integration;

/// The breakers that this node knows of, and those of endpoints that it has not called, by name.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(cx: &Context, caller: &AccessClaims) -> Result<Vec<Shown>, Refusal> {
    cx.admit_member(caller).await?;
    let mut all = cx.node.ask(&cx.slot, Msg::Snapshot).await?;
    for endpoint in webhook_endpoint::all(&mut cx.node.store.read(cx.slot.id).await?).await? {
        let integration = integration(endpoint.id);
        if !all.iter().any(|shown| shown.integration == integration) {
            all.push(Shown { integration, circuit: Circuit::Closed, until: None, openings: 0 });
        }
    }
    all.sort_by(|one, other| one.integration.cmp(&other.integration));
    Ok(all)
}

/// Opens a breaker until it is reset, or resets it; on this node.
///
/// # Errors
/// [`Refusal::NotFound`] for one that is not in the list; what the limits and the store refuse.
pub async fn by_hand(
    cx: &Context,
    caller: &AccessClaims,
    integration: &str,
    (by_hand, action): (ByHand, Action),
) -> Result<Shown, Refusal> {
    let known = list(cx, caller).await?.into_iter().find(|shown| &*shown.integration == integration);
    let integration = known.ok_or(Refusal::NotFound)?.integration;
    let mut detail = cx.client.origin.detail();
    detail.source = Some(integration.to_string());
    let event = Event { action, actor: Actor::Member(caller.sub), subject: Some(cx.slot.id.uuid()), detail };
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    audit::record(&mut tx, &cx.node, &cx.live.keys, &event).await?;
    tx.commit().await?;
    cx.node.ask(&cx.slot, |reply| Msg::ByHand(integration.clone(), by_hand, reply)).await?;
    cx.node.outbox.wake(cx.slot.id, cx.node.ambient.now());
    let after = cx.node.ask(&cx.slot, Msg::Snapshot).await?;
    after.into_iter().find(|shown| shown.integration == integration).ok_or(Refusal::NotFound)
}
