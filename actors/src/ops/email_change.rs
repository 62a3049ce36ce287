//! Another e-mail address for an account: it takes effect when somebody who reads its mail says so.
//!
//! Whether the new address has an account is told to nobody but whoever reads its mail, as with a registration. The old
//! address is written to when the account has left it.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor};
use freehold_domain::email::Email;
use freehold_domain::email_change::PendingChange;
use freehold_domain::id::FamilyId;
use freehold_domain::keys::Sealed;
use freehold_domain::letter::{Content, CredentialChange};
use freehold_domain::one_time_token::{OneTimeToken, Purpose};
use freehold_domain::tier::Tier;
use freehold_storage::member::MemberRow;
use freehold_storage::one_time_token::{self, Entitled, TokenKey};
use freehold_storage::{TenantTx, family, invitation, member};

use crate::changes;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::logout::commit;
use crate::ops::mailed_token::{self, address_layer, layers};
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::{email_of, email_place, find_in, hold};
use crate::sessions::has_ended;
use crate::slot::Deaths;

/// Sends a link to the address that the caller's account is to have, and the news to the one that it has. A newer one takes
/// its place, and nothing is changed before it is used.
///
/// # Errors
/// [`Refusal::NotFresh`]; what the limits and the store refuse.
pub async fn ask(cx: &Context, caller: &AccessClaims, new: Email) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    cx.admit(&layers(cx, Tier::Signup, cx.live.keys.lockout_key(&new))).await?;
    let mut tx = begin_fresh(cx, caller).await?;
    let member = member::by_id(&mut tx, caller.sub).await?.ok_or(Refusal::Unauthenticated)?;
    let is_taken = find_in(cx, &mut tx, &new).await?.is_some();
    let token = OneTimeToken::from_random(Purpose::EmailChange, cx.node.ambient.random());
    let pending = PendingChange { email: new.clone(), session: caller.sid };
    let sealed = cx.live.keys.seal(&OneTimeToken::pending_place(&token.hash()), &pending, cx.node.nonce());
    let entitled = Entitled {
        member: Some(member.id),
        credential_version: member.credential_version,
        pending_sealed: Some(sealed.map_err(|_| Refusal::Internal)?.into_bytes()),
    };
    let link = mailed_token::issue(cx, &mut tx, &token, member.id.as_bytes(), &entitled).await?;
    cx.write_to(&mut tx, new, if is_taken { Content::AlreadyMember } else { Content::ConfirmNewEmail(link) }).await?;
    cx.write_of_change(&mut tx, email_of(cx, &member)?, CredentialChange::EmailAsked).await?;
    let actor = Actor::Member(member.id);
    audit::record_request(&mut tx, cx, Action::EmailChangeRequested, actor, member.id.uuid()).await?;
    Ok(tx.commit().await?)
}

/// Spends a token: the account has the address that it was sent to. What the member signs in with is another now, so every
/// session is dead on its next request.
///
/// # Errors
/// [`Refusal::InvalidCredentials`] for a token that is unknown, spent, expired, or older than the credential, and when the
/// session that asked for it has ended;
/// [`Refusal::Collides`] when the address has become a member's meanwhile.
pub async fn confirm(cx: &Context, token: &OneTimeToken) -> Result<(), Refusal> {
    cx.admit(&[address_layer(cx, Tier::Signup), cx.tenant_layer()]).await?;
    let hash = token.hash();
    let key = TokenKey { hash: &hash, purpose: Purpose::EmailChange.as_str() };
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let (member, PendingChange { email: new, session }) = entitled(cx, &mut tx, key).await?;
    hold(&mut tx, &member).await?; // a rival with the same token waits here, and is told that it is spent
    stands(cx, &mut tx, session).await?;
    if find_in(cx, &mut tx, &new).await?.is_some() {
        return Err(Refusal::Collides);
    }
    let sealed = cx.live.keys.seal(&email_place(&member.id), &new, cx.node.nonce()).map_err(|_| Refusal::Internal)?;
    let email_key = cx.live.keys.email_key(&new);
    let version = member.credential_version;
    let raised = member::set_email(&mut tx, member.id, version, email_key.bytes(), sealed.bytes()).await?;
    let raised = raised.ok_or(Refusal::InvalidCredentials)?;
    if !one_time_token::spend(&mut tx, key, now).await? {
        return Err(Refusal::InvalidCredentials);
    }
    for email_key in cx.live.keys.email_keys(&new) {
        invitation::void(&mut tx, email_key.bytes()).await?;
    }
    family::revoke_all_of(&mut tx, member.id, now).await?;
    changes::raise(&mut tx, member.id, raised.epoch, now).await?;
    cx.write_to(&mut tx, email_of(cx, &member)?, Content::EmailChanged(cx.occasion())).await?;
    audit::record_request(&mut tx, cx, Action::EmailChanged, Actor::Member(member.id), member.id.uuid()).await?;
    commit(cx, tx, &Deaths::epoch(member.id, raised.epoch)).await?;
    tracing::info!(tenant.id = %cx.slot.id, member.id = %member.id, "an e-mail address was changed");
    Ok(())
}

/// Refuses what a session asked for that has ended: signed out, thrown out, or replayed.
async fn stands(cx: &Context, tx: &mut TenantTx, session: FamilyId) -> Result<(), Refusal> {
    let row = family::by_id(tx, session).await?.ok_or(Refusal::InvalidCredentials)?;
    let is_admitted = cx.slot.revocations().admits(session, row.family.member, row.epoch);
    let stands = is_admitted && !has_ended(&cx.live, &row, cx.node.ambient.now());
    if stands { Ok(()) } else { Err(Refusal::InvalidCredentials) }
}

/// The member whose token this is, and what was asked for.
async fn entitled(cx: &Context, tx: &mut TenantTx, key: TokenKey<'_>) -> Result<(MemberRow, PendingChange), Refusal> {
    let entitled = one_time_token::open(tx, key, cx.node.ambient.now()).await?;
    let entitled = entitled.ok_or(Refusal::InvalidCredentials)?;
    let (Some(id), Some(sealed)) = (entitled.member, entitled.pending_sealed) else { return Err(Refusal::Internal) };
    let member = member::by_id(tx, id).await?;
    let member = member.filter(|member| member.credential_version == entitled.credential_version);
    let sealed = Sealed::from_stored(sealed).map_err(|_| Refusal::Internal)?;
    let hash = key.hash.try_into().map_err(|_| Refusal::Internal)?;
    let new = cx.live.keys.open_sealed(&OneTimeToken::pending_place(hash), &sealed).map_err(|_| Refusal::Internal)?;
    Ok((member.ok_or(Refusal::InvalidCredentials)?, new))
}
