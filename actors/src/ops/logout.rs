//! Ending sessions: dead in the store and in the snapshot, then answered; the next request knows.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor};
use freehold_domain::id::{FamilyId, MemberId};
use freehold_domain::refresh_token::{RefreshToken, TokenHash};
use freehold_storage::{StoreError, TenantTx, family, member};

use crate::changes;
use crate::ops::audit::record_request;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::slot::Deaths;

/// Whose session a request is about.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// The session.
    pub family: FamilyId,
    /// Its member.
    pub member: MemberId,
    /// What says so.
    pub proof: Proof,
}

/// What a request that ends sessions shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A token that is good.
    Live,
    /// A refresh token that was good once: it says which session, and is worth nothing beyond that one.
    Spent,
}

impl Session {
    /// Who ends it: a spent token does not prove that it is the member.
    const fn actor(&self) -> Actor {
        match self.proof {
            Proof::Live => Actor::Member(self.member),
            Proof::Spent => Actor::Unknown,
        }
    }
}

impl From<&AccessClaims> for Session {
    fn from(claims: &AccessClaims) -> Self {
        Self { family: claims.sid, member: claims.sub, proof: Proof::Live }
    }
}

/// The living session that a refresh token belongs to: its live one or one that it has spent. Whoever presents a spent
/// one lost a race with another tab or is robbed of the session, and wants its end either way.
///
/// # Errors
/// [`Refusal::Unauthenticated`] for any other token: who only knows the session's id ends nothing; what the limits refuse.
pub async fn session_of(cx: &Context, token: &RefreshToken) -> Result<Session, Refusal> {
    cx.issued(token)?;
    cx.admit(&[cx.tenant_layer()]).await?;
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let row = family::by_id(&mut tx, token.family).await?.ok_or(Refusal::Unauthenticated)?;
    let stored = row.family.token_hash.as_slice().try_into().map_err(|_| Refusal::Internal)?;
    let alive = row.family.revoked_at_ms.is_none() && cx.node.ambient.now() < row.family.expires_at_ms;
    let presented = token.hash();
    let proof = if TokenHash::from_bytes(stored) == presented {
        Some(Proof::Live)
    } else {
        family::spent(&mut tx, token.family, presented.bytes()).await?.map(|_| Proof::Spent)
    };
    let proof = proof.filter(|_| alive).ok_or(Refusal::Unauthenticated)?;
    Ok(Session { family: token.family, member: row.family.member, proof })
}

/// Ends one session.
///
/// # Errors
/// [`Refusal::Unavailable`] when the store did not commit.
pub async fn logout(cx: &Context, session: Session) -> Result<(), Refusal> {
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    if changes::revoke(&mut tx, session.family, cx.node.ambient.now()).await? {
        record_request(&mut tx, cx, Action::SessionEnded, session.actor(), session.family.uuid()).await?;
    }
    commit(cx, tx, &Deaths::family(session.family)).await
}

/// Ends every session of the member, with every access token. A spent refresh token ends its own, as its replay does.
///
/// # Errors
/// [`Refusal::Unauthenticated`] for a spent one; [`Refusal::Unavailable`] when the store did not commit.
pub async fn logout_all(cx: &Context, session: Session) -> Result<(), Refusal> {
    if session.proof == Proof::Spent {
        logout(cx, session).await?;
        return Err(Refusal::Unauthenticated);
    }
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let epoch = member::raise_epoch(&mut tx, session.member).await?.ok_or(Refusal::Unauthenticated)?;
    family::revoke_all_of(&mut tx, session.member, now).await?;
    changes::raise(&mut tx, session.member, epoch, now).await?;
    record_request(&mut tx, cx, Action::SessionsEnded, session.actor(), session.member.uuid()).await?;
    commit(cx, tx, &Deaths::epoch(session.member, epoch)).await
}

/// Ends one session of the member, which need not be the one that asks.
///
/// # Errors
/// [`Refusal::NotFound`] for a session that is gone or somebody else's.
pub async fn end_session(cx: &Context, caller: &AccessClaims, id: FamilyId) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let row = family::by_id(&mut tx, id).await?.ok_or(Refusal::NotFound)?;
    let now = cx.node.ambient.now();
    if row.family.member != caller.sub || now >= row.family.expires_at_ms || !changes::revoke(&mut tx, id, now).await? {
        return Err(Refusal::NotFound);
    }
    record_request(&mut tx, cx, Action::SessionEnded, Actor::Member(caller.sub), id.uuid()).await?;
    commit(cx, tx, &Deaths::family(id)).await
}

/// Commits a transaction that kills, and buries the dead. When nobody knows whether it was committed they are buried all
/// the same: a dead session never comes back, and whoever next writes about one that was only buried makes it true
/// ([`crate::ops::sign_in::complete_sign_in`], and the rotation of its refresh token).
pub(super) async fn commit(cx: &Context, tx: TenantTx, deaths: &Deaths) -> Result<(), Refusal> {
    let committed = tx.commit().await;
    if committed.as_ref().err().is_none_or(StoreError::leaves_doubt) {
        cx.slot.bury(deaths, cx.node.ambient.now());
    }
    Ok(committed?)
}
