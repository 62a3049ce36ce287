//! The members of a tenant, for those who look after them: list, read, rename, give another role, deactivate and
//! reactivate, delete, reset the second factor.
//!
//! What takes a role or a member away holds the tenant's roster, so that the last admin stays, whoever asks at once. What
//! changes what a member may do is in force on the member's next request: epoch and credential version rise with it.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor, Changed, Event};
use freehold_domain::email::Email;
use freehold_domain::id::MemberId;
use freehold_domain::keys::Sealed;
use freehold_domain::letter::Content;
use freehold_domain::plan::Quota;
use freehold_domain::role::Role;
use freehold_domain::time::UnixMs;
use freehold_storage::roster::{self, Listed};
use freehold_storage::{TenantTx, family, member, second_factor};

use crate::changes;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::logout::commit;
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::{email_place, name_place};
use crate::ops::tenants::Name;
use crate::plans;
use crate::slot::Deaths;

/// A member, as the API tells of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberItem {
    /// The member.
    pub id: MemberId,
    /// The e-mail address.
    pub email: Email,
    /// The name.
    pub name: Name,
    /// The role.
    pub role: Role,
    /// When the member joined.
    pub created_at: UnixMs,
    /// When the member was deactivated, if so.
    pub deactivated_at: Option<UnixMs>,
    /// Whether a second factor is confirmed.
    pub has_second_factor: bool,
}

/// A part of the members.
#[derive(Debug)]
pub struct MemberPage {
    /// The members, oldest first.
    pub items: Vec<MemberItem>,
    /// Where the next part begins; `None` on the last.
    pub next: Option<MemberId>,
}

/// What is to be changed about a member; `None` stays.
#[derive(Debug, Default)]
pub struct MemberChange {
    /// Another name.
    pub name: Option<Name>,
    /// Another role.
    pub role: Option<Role>,
}

/// The members after `after`, at most `limit`.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(
    cx: &Context,
    caller: &AccessClaims,
    after: Option<MemberId>,
    limit: u32,
) -> Result<MemberPage, Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let mut rows = roster::page(&mut tx, after, limit + 1).await?;
    drop(tx);
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id);
    let items = rows.iter().map(|row| item(cx, row)).collect::<Result<_, _>>()?;
    Ok(MemberPage { items, next })
}

/// One member.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn read(cx: &Context, caller: &AccessClaims, id: MemberId) -> Result<MemberItem, Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    item(cx, &listed(&mut tx, id).await?)
}

/// Changes name and role. A new role is in force on the member's next request; sessions stay, access tokens do not.
///
/// # Errors
/// [`Refusal::NotFound`]; [`Refusal::LastAdmin`], with nothing changed.
pub async fn change(
    cx: &Context,
    caller: &AccessClaims,
    id: MemberId,
    change: MemberChange,
) -> Result<MemberItem, Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    roster::hold(&mut tx).await?;
    let known = item(cx, &listed(&mut tx, id).await?)?;
    let (name, role) = (change.name.unwrap_or(known.name.clone()), change.role.unwrap_or(known.role));
    let mut deaths = Deaths::default();
    if role != known.role {
        keep_an_admin(&mut tx, &known).await?;
        let raised = roster::set_role(&mut tx, id, role.as_str()).await?.ok_or(Refusal::NotFound)?;
        changes::raise(&mut tx, id, raised.epoch, now).await?;
        deaths = Deaths::epoch(id, raised.epoch);
    }
    if name != known.name {
        let sealed = cx.live.keys.seal(&name_place(&id), &name, cx.node.nonce()).map_err(|_| Refusal::Internal)?;
        roster::set_name(&mut tx, id, sealed.bytes()).await?;
        record(cx, &mut tx, caller, Action::MemberRenamed, id, vec![]).await?;
    }
    if role != known.role {
        let told = Changed { field: "role".to_owned(), from: known.role.to_string(), to: role.to_string() };
        record(cx, &mut tx, caller, Action::MemberRoleChanged, id, vec![told]).await?;
    }
    commit(cx, tx, &deaths).await?;
    Ok(MemberItem { name, role, ..known })
}

/// Deactivates a member: no sign-in, and every session is dead on its next request. Repeating is the same.
///
/// # Errors
/// [`Refusal::NotFound`]; [`Refusal::LastAdmin`], with nothing changed.
pub async fn deactivate(cx: &Context, caller: &AccessClaims, id: MemberId) -> Result<MemberItem, Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    roster::hold(&mut tx).await?;
    let known = item(cx, &listed(&mut tx, id).await?)?;
    if known.deactivated_at.is_some() {
        return Ok(known);
    }
    keep_an_admin(&mut tx, &known).await?;
    let raised = roster::deactivate(&mut tx, id, now).await?.ok_or(Refusal::NotFound)?;
    family::revoke_all_of(&mut tx, id, now).await?;
    changes::raise(&mut tx, id, raised.epoch, now).await?;
    record(cx, &mut tx, caller, Action::MemberDeactivated, id, vec![]).await?;
    commit(cx, tx, &Deaths::epoch(id, raised.epoch)).await?;
    Ok(MemberItem { deactivated_at: Some(now), ..known })
}

/// Makes a deactivated member active again; sessions that were ended stay ended. Repeating is the same.
///
/// # Errors
/// [`Refusal::NotFound`]; [`Refusal::QuotaReached`].
pub async fn reactivate(cx: &Context, caller: &AccessClaims, id: MemberId) -> Result<MemberItem, Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let known = item(cx, &listed(&mut tx, id).await?)?;
    if known.deactivated_at.is_some() {
        plans::admit(cx, &mut tx, Quota::Members).await?;
    }
    if !roster::reactivate(&mut tx, id).await? {
        return Ok(known);
    }
    record(cx, &mut tx, caller, Action::MemberReactivated, id, vec![]).await?;
    tx.commit().await?;
    Ok(MemberItem { deactivated_at: None, ..known })
}

/// Deletes a member with name, address, sessions and second factor. The audit log keeps the id alone.
///
/// # Errors
/// [`Refusal::NotFresh`]; [`Refusal::NotFound`]; [`Refusal::LastAdmin`], with nothing changed.
pub async fn delete(cx: &Context, caller: &AccessClaims, id: MemberId) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let mut tx = begin_fresh(cx, caller).await?;
    roster::hold(&mut tx).await?;
    let known = item(cx, &listed(&mut tx, id).await?)?;
    keep_an_admin(&mut tx, &known).await?;
    let epoch = member::raise_epoch(&mut tx, id).await?.ok_or(Refusal::NotFound)?;
    roster::delete(&mut tx, id).await?;
    changes::raise(&mut tx, id, epoch, now).await?;
    record(cx, &mut tx, caller, Action::MemberDeleted, id, vec![]).await?;
    commit(cx, tx, &Deaths::epoch(id, epoch)).await
}

/// Takes a member's second factor away, for one who has lost it. Every session of the member is dead on its next request,
/// and the member is written to.
///
/// # Errors
/// [`Refusal::NotFresh`]; [`Refusal::NotFound`], also when there is no second factor.
pub async fn reset_second_factor(cx: &Context, caller: &AccessClaims, id: MemberId) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let mut tx = begin_fresh(cx, caller).await?;
    let known = item(cx, &listed(&mut tx, id).await?)?;
    let epoch = raise(&mut tx, id).await?;
    if !second_factor::remove(&mut tx, id).await? {
        return Err(Refusal::NotFound);
    }
    family::revoke_all_of(&mut tx, id, now).await?;
    changes::raise(&mut tx, id, epoch, now).await?;
    cx.write_to(&mut tx, known.email, Content::SecondFactorReset(cx.occasion())).await?;
    record(cx, &mut tx, caller, Action::SecondFactorReset, id, vec![]).await?;
    commit(cx, tx, &Deaths::epoch(id, epoch)).await
}

/// Raises what an active member signs in with; the answer is the new epoch.
async fn raise(tx: &mut TenantTx, id: MemberId) -> Result<i64, Refusal> {
    Ok(member::raise(tx, id).await?.ok_or(Refusal::NotFound)?.epoch)
}

/// Refuses to take an active admin away, or its role, who is the last. The roster must be held.
async fn keep_an_admin(tx: &mut TenantTx, known: &MemberItem) -> Result<(), Refusal> {
    let is_admin = known.role == Role::Admin && known.deactivated_at.is_none();
    if is_admin && !roster::has_another(tx, known.id, Role::Admin.as_str()).await? {
        return Err(Refusal::LastAdmin);
    }
    Ok(())
}

async fn listed(tx: &mut TenantTx, id: MemberId) -> Result<Listed, Refusal> {
    roster::one(tx, id).await?.ok_or(Refusal::NotFound)
}

fn item(cx: &Context, row: &Listed) -> Result<MemberItem, Refusal> {
    let keys = &cx.live.keys;
    let email = Sealed::from_stored(row.email_sealed.clone()).map_err(|_| Refusal::Internal)?;
    let name = Sealed::from_stored(row.name_sealed.clone()).map_err(|_| Refusal::Internal)?;
    Ok(MemberItem {
        id: row.id,
        email: keys.open_sealed(&email_place(&row.id), &email).map_err(|_| Refusal::Internal)?,
        name: keys.open_sealed(&name_place(&row.id), &name).map_err(|_| Refusal::Internal)?,
        role: row.role.parse().map_err(|_| Refusal::Internal)?,
        created_at: row.created_at_ms,
        deactivated_at: row.deactivated_at_ms,
        has_second_factor: row.second_factor_at_ms.is_some(),
    })
}

async fn record(
    cx: &Context,
    tx: &mut TenantTx,
    caller: &AccessClaims,
    action: Action,
    subject: MemberId,
    changes: Vec<Changed>,
) -> Result<(), Refusal> {
    let mut detail = cx.client.origin.detail();
    detail.changes = changes;
    let event = Event { action, actor: Actor::Member(caller.sub), subject: Some(subject.uuid()), detail };
    Ok(audit::record(tx, &cx.node, &cx.live.keys, &event).await?)
}
