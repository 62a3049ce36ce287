//! Invitations: an admin asks somebody to join, who accepts with the token that came by mail.
//!
//! ```text
//! pending --accept, right token and address--> member    pending --resend--> pending (another token, a new week)
//! pending --revoke--> (none)                             pending --7 days--> expired
//! ```
//!
//! Inviting says nothing of whether the address belongs to a member already: the answer, the work and the number of
//! letters are the same, and only who reads mail there learns it. A token that was accepted proves that its holder reads
//! that mail, so the member needs no other proof. It starts no session: that is what signing in is for.

use std::time::Duration;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor, Changed, Event};
use freehold_domain::email::Email;
use freehold_domain::gcra::Layer;
use freehold_domain::id::{InvitationId, MemberId};
use freehold_domain::keys::{CryptoError, Place, Sealed, TenantKeys};
use freehold_domain::letter::{Content, Link};
use freehold_domain::one_time_token::{OneTimeToken, Purpose};
use freehold_domain::password::Password;
use freehold_domain::plan::Quota;
use freehold_domain::role::Role;
use freehold_domain::tier::Tier;
use freehold_domain::time::UnixMs;
use freehold_storage::invitation::{self as rows, InvitationRow};
use freehold_storage::{StoreError, TenantTx, member};
use uuid::Uuid;

use crate::breached::Accepted;
use crate::node::Node;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::new_member::{self, NewMember};
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::{find_in, name_place};
use crate::ops::tenants::Name;
use crate::plans;

/// How long an invitation can be accepted.
pub const INVITATION_TTL: Duration = Duration::from_hours(7 * 24);

/// An invitation, as the API tells of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationItem {
    /// The invitation.
    pub id: InvitationId,
    /// Who is invited.
    pub email: Email,
    /// As what.
    pub role: Role,
    /// Who invites.
    pub invited_by: MemberId,
    /// When.
    pub created_at: UnixMs,
    /// Until when it can be accepted.
    pub expires_at: UnixMs,
}

/// A part of the invitations.
#[derive(Debug)]
pub struct InvitationPage {
    /// The invitations, oldest first.
    pub items: Vec<InvitationItem>,
    /// Where the next part begins; `None` on the last.
    pub next: Option<InvitationId>,
}

/// What somebody who accepts an invitation says.
pub struct Acceptance {
    /// The token that came by mail.
    pub token: OneTimeToken,
    /// The address it came to.
    pub email: Email,
    /// The name to be called by.
    pub name: Name,
    /// The password to be.
    pub password: Password,
}

/// Invites an address, in the place of an earlier invitation of it.
///
/// # Errors
/// What the limits refuse; [`Refusal::QuotaReached`], for who accepts would not be let in; [`Refusal::Conflict`] when it is invited twice at the same moment.
pub async fn invite(cx: &Context, caller: &AccessClaims, email: Email, role: Role) -> Result<InvitationItem, Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    plans::admit(cx, &mut tx, Quota::Members).await?;
    let (item, token) = insert(&mut tx, &cx.node, &cx.live.keys, &email, role, caller.sub).await?;
    send(cx, &mut tx, caller, &item, &token).await?;
    record(cx, &mut tx, Action::InvitationSent, Actor::Member(caller.sub), item.id.uuid(), told(role)).await?;
    tx.commit().await?;
    Ok(item)
}

/// An invitation could not be written; its transaction is lost.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotWritten {
    /// Somebody invited the same address at the same moment.
    #[error("invited twice at once")]
    Rival,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address could not be sealed.
    #[error("the address could not be sealed")]
    Crypto(#[from] CryptoError),
}

impl From<NotWritten> for Refusal {
    fn from(error: NotWritten) -> Self {
        match error {
            NotWritten::Rival => Self::Conflict,
            NotWritten::Store(error) => error.into(),
            NotWritten::Crypto(_) => Self::Internal,
        }
    }
}

/// Writes an invitation in the place of any other for its address, and makes its token.
pub(super) async fn insert(
    tx: &mut TenantTx,
    node: &Node,
    keys: &TenantKeys,
    email: &Email,
    role: Role,
    invited_by: MemberId,
) -> Result<(InvitationItem, OneTimeToken), NotWritten> {
    let now = node.ambient.now();
    let id = InvitationId::new(now, node.ambient.random());
    let expires_at = now.plus(INVITATION_TTL);
    let row = InvitationRow {
        id,
        email_key: keys.email_key(email).bytes().to_vec(),
        email_sealed: keys.seal(&email_place_of(&id), email, node.nonce())?.into_bytes(),
        role: role.as_str().to_owned(),
        invited_by,
        created_at_ms: now,
        expires_at_ms: expires_at,
    };
    let token = new_token(node);
    if !rows::insert(tx, &row, &token.hash()).await? {
        return Err(NotWritten::Rival);
    }
    Ok((InvitationItem { id, email: email.clone(), role, invited_by, created_at: now, expires_at }, token))
}

/// Sends an invitation again: with another token, which voids the one before, and for another week.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn resend(cx: &Context, caller: &AccessClaims, id: InvitationId) -> Result<InvitationItem, Refusal> {
    cx.admit_member(caller).await?;
    let expires_at = cx.node.ambient.now().plus(INVITATION_TTL);
    let token = new_token(&cx.node);
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    if !rows::renew(&mut tx, id, &token.hash(), expires_at).await? {
        return Err(Refusal::NotFound);
    }
    let row = rows::by_id(&mut tx, id).await?.ok_or(Refusal::NotFound)?;
    let item = item(cx, &row)?;
    send(cx, &mut tx, caller, &item, &token).await?;
    record(cx, &mut tx, Action::InvitationSent, Actor::Member(caller.sub), id.uuid(), told(item.role)).await?;
    tx.commit().await?;
    Ok(item)
}

/// Takes an invitation back: its token is void.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn revoke(cx: &Context, caller: &AccessClaims, id: InvitationId) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    if !rows::delete(&mut tx, id).await? {
        return Err(Refusal::NotFound);
    }
    record(cx, &mut tx, Action::InvitationRevoked, Actor::Member(caller.sub), id.uuid(), vec![]).await?;
    Ok(tx.commit().await?)
}

/// The invitations that were not accepted after `after`, at most `limit`.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(
    cx: &Context,
    caller: &AccessClaims,
    after: Option<InvitationId>,
    limit: u32,
) -> Result<InvitationPage, Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let mut found = rows::page(&mut tx, after, limit + 1).await?;
    drop(tx);
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|row| row.id);
    let items = found.iter().map(|row| item(cx, row)).collect::<Result<_, _>>()?;
    Ok(InvitationPage { items, next })
}

/// Makes whoever was invited a member. Of all who accept one invitation at once, one wins.
///
/// # Errors
/// [`Refusal::NotInvited`] for a token that is unknown, spent, revoked or expired, and for another address than it was
/// sent to; [`Refusal::TooShort`], [`Refusal::Common`] and
/// [`Refusal::Breached`]; [`Refusal::Collides`] when the address is a member's; [`Refusal::QuotaReached`].
pub async fn accept(cx: &Context, acceptance: Acceptance) -> Result<(MemberId, Role), Refusal> {
    let Acceptance { token, email, name, password } = acceptance;
    cx.admit(&[signup(cx), cx.tenant_layer()]).await?;
    let now = cx.node.ambient.now();
    let invitation = rows::by_token(&mut cx.node.store.read(cx.slot.id).await?, &token.hash(), now).await?;
    let invitation = item(cx, &invitation.ok_or(Refusal::NotInvited)?)?;
    if invitation.email != email {
        return Err(Refusal::NotInvited);
    }
    password.at_least(cx.live.settings.password_chars_min(invitation.role, false))?;
    let accepted = cx.check_breached(&password).await?;
    let mut permit = cx.reserve_hash()?;
    let hash = cx.node.pool.hash(&mut permit, password).await?;

    let new = NewMember {
        email: &email,
        name: &name,
        role: invitation.role,
        password_hash: Some(hash.text()),
        unchecked: accepted == Accepted::Unchecked,
    };
    let row = new.row(&cx.node, &cx.live.keys).map_err(|_| Refusal::Internal)?;
    let id = row.id;
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    plans::admit(cx, &mut tx, Quota::Members).await?;
    if !rows::spend(&mut tx, &token.hash(), now).await? {
        return Err(Refusal::NotInvited);
    }
    if !new_member::insert(&mut tx, &cx.live.keys, &email, &row).await? {
        return Err(Refusal::Collides);
    }
    let joined = Actor::Member(id);
    record(cx, &mut tx, Action::MemberJoined, joined, id.uuid(), told(invitation.role)).await?;
    tx.commit().await?;
    Ok((id, invitation.role))
}

/// One letter, whoever the address belongs to: the way in, or that its reader is in already.
async fn send(
    cx: &Context,
    tx: &mut TenantTx,
    caller: &AccessClaims,
    item: &InvitationItem,
    token: &OneTimeToken,
) -> Result<(), Refusal> {
    let inviter = member::by_id(tx, caller.sub).await?.ok_or(Refusal::Unauthenticated)?;
    let name = Sealed::from_stored(inviter.name_sealed).map_err(|_| Refusal::Internal)?;
    let inviter: Name = cx.live.keys.open_sealed(&name_place(&caller.sub), &name).map_err(|_| Refusal::Internal)?;
    let content = if find_in(cx, tx, &item.email).await?.is_some() {
        Content::AlreadyMember
    } else {
        let link = Link { token: token.text(), until: item.expires_at };
        Content::Invitation { inviter, role: item.role, link }
    };
    Ok(cx.write_to(tx, item.email.clone(), content).await?)
}

fn item(cx: &Context, row: &InvitationRow) -> Result<InvitationItem, Refusal> {
    let email = Sealed::from_stored(row.email_sealed.clone()).map_err(|_| Refusal::Internal)?;
    Ok(InvitationItem {
        id: row.id,
        email: cx.live.keys.open_sealed(&email_place_of(&row.id), &email).map_err(|_| Refusal::Internal)?,
        role: row.role.parse().map_err(|_| Refusal::Internal)?,
        invited_by: row.invited_by,
        created_at: row.created_at_ms,
        expires_at: row.expires_at_ms,
    })
}

fn new_token(node: &Node) -> OneTimeToken {
    OneTimeToken::from_random(Purpose::Invitation, node.ambient.random())
}

/// Where the address of an invitation is sealed.
fn email_place_of(id: &InvitationId) -> Place<'_> {
    Place { table: "invitation", column: "email_sealed", row: id.as_bytes() }
}

/// Registrations of the client's address.
fn signup(cx: &Context) -> Layer {
    Layer { tier: Tier::Signup, subject: cx.client.bucket }
}

fn told(role: Role) -> Vec<Changed> {
    vec![Changed { field: "role".to_owned(), from: String::new(), to: role.to_string() }]
}

async fn record(
    cx: &Context,
    tx: &mut TenantTx,
    action: Action,
    actor: Actor,
    subject: Uuid,
    changes: Vec<Changed>,
) -> Result<(), Refusal> {
    let mut detail = cx.client.origin.detail();
    detail.changes = changes;
    Ok(audit::record(tx, &cx.node, &cx.live.keys, &Event { action, actor, subject: Some(subject), detail }).await?)
}
