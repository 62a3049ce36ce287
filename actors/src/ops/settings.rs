//! What a tenant has decided for itself: read, and changed by its admins. In force on the next request.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor, Changed, Event};
use freehold_domain::settings::{NoRoles, TenantSettings};
use freehold_storage::setting;

use crate::node::load::{in_force, versioned_settings};
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::ops::tenant_change;

/// The settings in force.
///
/// # Errors
/// What the limits refuse.
pub async fn read(cx: &Context, caller: &AccessClaims) -> Result<TenantSettings, Refusal> {
    cx.admit_member(caller).await?;
    Ok(cx.live.settings.clone())
}

/// Changes the settings by `change`, and answers what is in force then. What changes nothing is not recorded.
///
/// # Errors
/// [`Refusal::NoRoles`], with nothing changed; [`Refusal::Conflict`] when somebody else changed them at the same moment.
pub async fn change(
    cx: &Context,
    caller: &AccessClaims,
    change: impl FnOnce(&mut TenantSettings),
) -> Result<TenantSettings, Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let (known, version) = versioned_settings(&mut tx).await?;
    let mut next = known.clone();
    change(&mut next);
    let next = known.replaced_by(next, now).map_err(|NoRoles| Refusal::NoRoles)?;
    let told = next.changes_since(&known);
    if told.is_empty() {
        return Ok(in_force(&cx.node, &cx.slot, known));
    }
    let body = serde_json::to_string(&next).map_err(|_| Refusal::Internal)?;
    if !setting::replace(&mut tx, version, &body).await? {
        return Err(Refusal::Conflict);
    }
    let change = tenant_change::announce(&mut tx, &cx.node, &cx.slot, now).await?;
    let mut detail = cx.client.origin.detail();
    detail.changes = told.into_iter().map(|(field, from, to)| Changed { field: field.to_owned(), from, to }).collect();
    let actor = Actor::Member(caller.sub);
    let event = Event { action: Action::SettingsChanged, actor, subject: Some(cx.slot.id.uuid()), detail };
    audit::record(&mut tx, &cx.node, &cx.live.keys, &event).await?;
    change.commit(tx, &cx.node, &cx.slot).await?;
    Ok(in_force(&cx.node, &cx.slot, next))
}
