//! A forgotten password: a link is sent, and whoever has it chooses another.
//!
//! Whether an address has an account is told to nobody but whoever reads its mail: both get a letter, and asking does the
//! same work either way. A new password starts no session, so it takes nobody past a second factor.

use freehold_domain::audit::{Action, Actor, Event};
use freehold_domain::email::Email;
use freehold_domain::id::MemberId;
use freehold_domain::letter::{Content, CredentialChange};
use freehold_domain::one_time_token::{OneTimeToken, Purpose};
use freehold_domain::password::Password;
use freehold_domain::tier::Tier;
use freehold_storage::member::{MemberRow, NewPassword};
use freehold_storage::one_time_token::{self, Entitled, TokenKey};
use freehold_storage::{family, lockout, member, second_factor};

use crate::breached::Accepted;
use crate::changes;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::known_client;
use crate::ops::logout::commit;
use crate::ops::mailed_token::{self, layers};
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::{self, email_of};
use crate::slot::Deaths;

/// Sends a link to choose a new password, or the news that there is no account.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn forgot(cx: &Context, email: &Email) -> Result<(), Refusal> {
    let account = cx.live.keys.lockout_key(email);
    cx.admit(&layers(cx, Tier::PasswordReset, account)).await?;
    let found = sign_in::find(cx, email).await?.filter(|member| member.deactivated_at_ms.is_none());
    let member = found.as_ref().map(|member| member.id);
    let credential_version = found.as_ref().map_or(0, |member| member.credential_version);
    let entitled = Entitled { member, credential_version, pending_sealed: None };
    let token = OneTimeToken::from_random(Purpose::PasswordReset, cx.node.ambient.random());
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let link = mailed_token::issue(cx, &mut tx, &token, account.bytes(), &entitled).await?;
    let content = if found.is_some() { Content::ResetPassword(link) } else { Content::NoAccount };
    cx.write_to(&mut tx, email.clone(), content).await?;
    let detail = cx.client.origin.detail();
    let (action, subject) = (Action::PasswordResetRequested, member.map(MemberId::uuid));
    let event = Event { action, actor: Actor::Unknown, subject, detail };
    audit::record(&mut tx, &cx.node, &cx.live.keys, &event).await?;
    Ok(tx.commit().await?)
}

/// Spends a token for another password. Every session of the member is dead on its next request, the failures of the account
/// are forgotten, and the member is written to.
///
/// # Errors
/// [`Refusal::InvalidCredentials`] for a token that is unknown, spent, expired, or older than the credential;
/// [`Refusal::TooShort`] and [`Refusal::Breached`] leave it as it is.
pub async fn reset(cx: &Context, token: Option<&OneTimeToken>, new: Password) -> Result<(), Refusal> {
    cx.admit(&[mailed_token::address_layer(cx, Tier::PasswordReset), cx.tenant_layer()]).await?;
    let hash = token.ok_or(Refusal::InvalidCredentials)?.hash();
    let key = TokenKey { hash: &hash, purpose: Purpose::PasswordReset.as_str() };
    let (member, has_second_factor) = entitled(cx, key).await?;
    let role = member.role.parse().map_err(|_| Refusal::Internal)?;
    new.at_least(cx.live.settings.password_chars_min(role, has_second_factor))?;
    let accepted = cx.check_breached(&new).await?;
    let mut permit = cx.reserve_hash()?;
    let hash_of_new = cx.node.pool.hash(&mut permit, new).await?.text();

    let now = cx.node.ambient.now();
    let unchecked_at_ms = (accepted == Accepted::Unchecked).then_some(now);
    let new = NewPassword { hash: hash_of_new, unchecked_at_ms };
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let changed = member::set_password(&mut tx, member.id, member.credential_version, &new).await?;
    let raised = changed.ok_or(Refusal::InvalidCredentials)?;
    if !one_time_token::spend(&mut tx, key, now).await? {
        return Err(Refusal::InvalidCredentials);
    }
    family::revoke_all_of(&mut tx, member.id, now).await?;
    changes::raise(&mut tx, member.id, raised.epoch, now).await?;
    let email = email_of(cx, &member)?;
    lockout::reset(&mut tx, cx.live.keys.lockout_key(&email).bytes()).await?;
    known_client::forget_others(cx, &mut tx, member.id).await?;
    cx.write_of_change(&mut tx, email, CredentialChange::PasswordReset).await?;
    let actor = Actor::Member(member.id);
    audit::record_request(&mut tx, cx, Action::PasswordReset, actor, member.id.uuid()).await?;
    commit(cx, tx, &Deaths::epoch(member.id, raised.epoch)).await?;
    tracing::info!(tenant.id = %cx.slot.id, member.id = %member.id, "a password was reset");
    Ok(())
}

/// The member whose token this is, and whether a second factor is confirmed.
async fn entitled(cx: &Context, key: TokenKey<'_>) -> Result<(MemberRow, bool), Refusal> {
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let entitled = one_time_token::open(&mut tx, key, cx.node.ambient.now()).await?;
    let Some((entitled, id)) = entitled.and_then(|entitled| entitled.member.map(|id| (entitled, id))) else {
        return Err(Refusal::InvalidCredentials);
    };
    let member = member::by_id(&mut tx, id).await?;
    let member = member.filter(|member| member.credential_version == entitled.credential_version);
    let totp = second_factor::totp_of(&mut tx, id).await?;
    Ok((member.ok_or(Refusal::InvalidCredentials)?, totp.is_some_and(|totp| totp.confirmed_at_ms.is_some())))
}
