//! Changing a password: every earlier session of the member is dead on its next request.

use std::sync::Arc;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor};
use freehold_domain::letter::CredentialChange;
use freehold_domain::password::Password;
use freehold_storage::member::{MemberRow, NewPassword};
use freehold_storage::{family, lockout, member};

use crate::breached::Accepted;
use crate::changes;
use crate::lockouts::Attempt;
use crate::ops::assurance::Assurance;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::known_client;
use crate::ops::logout::commit;
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::{self, email_of, login_account};
use crate::ops::token_pair::TokenPair;
use crate::slot::Deaths;

/// Changes the caller's password, starts a new session and writes to the member.
///
/// The current password is checked as in a sign-in, charge included: a stolen access token is no way to guess it. The
/// change is conditional on the credential that was checked; credential version and epoch rise with it, so sign-ins
/// under way and access tokens of any age are dead.
///
/// # Errors
/// [`Refusal::TooShort`], [`Refusal::Common`] and [`Refusal::Breached`] for a new password, before anything is charged;
/// [`Refusal::InvalidCredentials`] for a wrong current password or one that was changed meanwhile.
pub async fn change_password(
    cx: &Context,
    caller: &AccessClaims,
    current: Password,
    new: Password,
) -> Result<Arc<TokenPair>, Refusal> {
    cx.admit_member(caller).await?;
    new.at_least(cx.live.settings.password_chars_min(caller.role, caller.has_second_factor()))?;
    let member = read(cx, caller).await?;
    let email = email_of(cx, &member)?;
    let account = cx.live.keys.lockout_key(&email);
    cx.admit(&[login_account(account)]).await?;
    let accepted = cx.check_breached(&new).await?;
    let mut permit = cx.reserve_hash()?;
    let _attempt = Attempt::charge(cx, account, Some(member.id)).await?;
    let hash = sign_in::stored_hash(cx, &member)?;
    if !cx.node.pool.verify(&mut permit, current, hash).await? {
        return Err(Refusal::InvalidCredentials);
    }
    let hash = cx.node.pool.hash(&mut permit, new).await?;

    let now = cx.node.ambient.now();
    let new = NewPassword { hash: hash.text(), unchecked_at_ms: (accepted == Accepted::Unchecked).then_some(now) };
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let changed = member::set_password(&mut tx, member.id, member.credential_version, &new).await?;
    let raised = changed.ok_or(Refusal::InvalidCredentials)?;
    family::revoke_all_of(&mut tx, member.id, now).await?;
    changes::raise(&mut tx, member.id, raised.epoch, now).await?;
    let member = MemberRow { credential_version: raised.version, epoch: raised.epoch, ..member };
    lockout::reset(&mut tx, account.bytes()).await?;
    let standing = sign_in::hold(&mut tx, &member).await?;
    known_client::forget_others(cx, &mut tx, member.id).await?;
    cx.write_of_change(&mut tx, email, CredentialChange::Password).await?;
    let actor = Actor::Member(member.id);
    audit::record_request(&mut tx, cx, Action::PasswordChanged, actor, member.id.uuid()).await?;
    let assurance = Assurance::by_session(caller);
    let pair = sign_in::start_session(cx, &mut tx, &member, &standing, assurance).await?;
    commit(cx, tx, &Deaths::epoch(member.id, raised.epoch)).await?;
    Ok(Arc::new(pair))
}

async fn read(cx: &Context, caller: &AccessClaims) -> Result<MemberRow, Refusal> {
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    member::by_id(&mut tx, caller.sub).await?.ok_or(Refusal::Unauthenticated)
}
