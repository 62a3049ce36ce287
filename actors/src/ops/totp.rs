//! A member's own second factor: enrol, confirm, new backup codes, take away.
//!
//! ```text
//! none --enrol--> pending --confirm, right code--> confirmed --disable--> none
//!                 pending --enrol--> pending (another secret)
//! ```
//!
//! What makes the second factor weaker, or another one, needs a session that was started within five minutes. Confirming
//! and taking away change what the member signs in with: credential version and epoch rise, every other session is dead
//! on its next request. The caller's own session stays, with its refresh token; its access token is dead like all others.
//! Device cookies are void with the credential they were issued for. The member is written to.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor};
use freehold_domain::backup_code::{BackupCode, CODES};
use freehold_domain::letter::CredentialChange;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use freehold_domain::totp::{Code, Step, TotpSecret};
use freehold_storage::{TenantTx, family, member, second_factor as rows};

use crate::changes;
use crate::ops::assurance::{secret, secret_place};
use crate::ops::audit::{self, NotRecorded};
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::logout::commit;
use crate::ops::refusal::Refusal;
use crate::ops::second_factor::answers;
use crate::ops::sign_in::email_of;
use crate::slot::Deaths;

/// What a member's authenticator must be given.
#[derive(Debug)]
pub struct Enrolment {
    /// The secret, to be typed in.
    pub secret: Secret<String>,
    /// The same and all else, to be read from a QR code.
    pub uri: Secret<String>,
}

/// Gives the caller an authenticator to be confirmed, in the place of one that was not.
///
/// # Errors
/// [`Refusal::NotFresh`]; [`Refusal::Collides`] when one is confirmed.
pub async fn enrol(cx: &Context, caller: &AccessClaims) -> Result<Enrolment, Refusal> {
    cx.admit_enrolling(caller).await?;
    let secret = TotpSecret::from_random(cx.node.ambient.random());
    let sealed = cx.live.keys.seal(&secret_place(&caller.sub), &secret, cx.node.nonce());
    let sealed = sealed.map_err(|_| Refusal::Internal)?;
    let mut tx = begin_fresh(cx, caller).await?;
    let member = member::by_id(&mut tx, caller.sub).await?.ok_or(Refusal::Unauthenticated)?;
    let email = email_of(cx, &member)?;
    if !rows::enrol(&mut tx, caller.sub, sealed.bytes()).await? {
        return Err(Refusal::Collides);
    }
    tx.commit().await?;
    Ok(Enrolment { uri: secret.uri(&cx.slot.name, &email), secret: secret.base32() })
}

/// Confirms the caller's authenticator by a code of it, which is spent, and gives out the backup codes.
///
/// # Errors
/// [`Refusal::InvalidCredentials`] for a wrong code; [`Refusal::Collides`] when there is nothing to be confirmed.
pub async fn confirm(cx: &Context, caller: &AccessClaims, code: &Code) -> Result<Vec<Secret<String>>, Refusal> {
    cx.admit_enrolling(caller).await?;
    cx.admit(&[answers(caller.sub)]).await?;
    let (now, wall) = (cx.node.ambient.now(), cx.node.ambient.wall());
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let deaths = raise(&mut tx, caller, now).await?;
    let totp = rows::totp_of(&mut tx, caller.sub).await?;
    let totp = totp.filter(|totp| totp.confirmed_at_ms.is_none()).ok_or(Refusal::Collides)?;
    let step = secret(&cx.live.keys, caller.sub, &totp)?.verify(code, Step::new(totp.last_step), wall);
    let step = step.ok_or(Refusal::InvalidCredentials)?;
    if !rows::confirm(&mut tx, caller.sub, totp.version, now, step.get()).await? {
        return Err(Refusal::Collides);
    }
    let codes = new_backup_codes(cx, &mut tx, caller).await?;
    tell(cx, &mut tx, caller, CredentialChange::SecondFactorConfirmed).await?;
    record(cx, &mut tx, Action::SecondFactorConfirmed, caller).await?;
    commit(cx, tx, &deaths).await?;
    tracing::info!(tenant.id = %cx.slot.id, member.id = %caller.sub, "a second factor was confirmed");
    Ok(codes)
}

/// Takes the caller's second factor away, confirmed or not, with its backup codes.
///
/// # Errors
/// [`Refusal::NotFresh`]; [`Refusal::NotFound`] when there is none.
pub async fn disable(cx: &Context, caller: &AccessClaims) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = begin_fresh(cx, caller).await?;
    let deaths = raise(&mut tx, caller, cx.node.ambient.now()).await?;
    if !rows::remove(&mut tx, caller.sub).await? {
        return Err(Refusal::NotFound);
    }
    tell(cx, &mut tx, caller, CredentialChange::SecondFactorRemoved).await?;
    record(cx, &mut tx, Action::SecondFactorRemoved, caller).await?;
    commit(cx, tx, &deaths).await?;
    tracing::info!(tenant.id = %cx.slot.id, member.id = %caller.sub, "a second factor was taken away");
    Ok(())
}

/// Gives the caller new backup codes; those before are void.
///
/// # Errors
/// [`Refusal::NotFresh`]; [`Refusal::Collides`] when no second factor is confirmed.
pub async fn renew_backup_codes(cx: &Context, caller: &AccessClaims) -> Result<Vec<Secret<String>>, Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = begin_fresh(cx, caller).await?;
    // Held, so that it is not taken away meanwhile.
    let member = member::by_id(&mut tx, caller.sub).await?.ok_or(Refusal::Unauthenticated)?;
    let held = member::hold(&mut tx, member.id, member.credential_version).await?;
    held.ok_or(Refusal::Unauthenticated)?;
    let totp = rows::totp_of(&mut tx, caller.sub).await?;
    totp.filter(|totp| totp.confirmed_at_ms.is_some()).ok_or(Refusal::Collides)?;
    let codes = new_backup_codes(cx, &mut tx, caller).await?;
    cx.write_of_change(&mut tx, email_of(cx, &member)?, CredentialChange::BackupCodes).await?;
    record(cx, &mut tx, Action::BackupCodesRenewed, caller).await?;
    tx.commit().await?;
    Ok(codes)
}

/// Writes to the caller that this was done.
async fn tell(cx: &Context, tx: &mut TenantTx, caller: &AccessClaims, change: CredentialChange) -> Result<(), Refusal> {
    let member = member::by_id(tx, caller.sub).await?.ok_or(Refusal::Unauthenticated)?;
    Ok(cx.write_of_change(tx, email_of(cx, &member)?, change).await?)
}

/// Records what the caller did about the second factor.
async fn record(cx: &Context, tx: &mut TenantTx, action: Action, caller: &AccessClaims) -> Result<(), NotRecorded> {
    audit::record_request(tx, cx, action, Actor::Member(caller.sub), caller.sub.uuid()).await
}

/// Raises what the caller signs in with, and ends every other session. Locks the member first, as a sign-in does.
pub(super) async fn raise(tx: &mut TenantTx, caller: &AccessClaims, now: UnixMs) -> Result<Deaths, Refusal> {
    let raised = member::raise(tx, caller.sub).await?.ok_or(Refusal::Unauthenticated)?;
    family::revoke_others(tx, caller.sub, caller.sid, now).await?;
    changes::raise(tx, caller.sub, raised.epoch, now).await?;
    Ok(Deaths::epoch(caller.sub, raised.epoch))
}

async fn new_backup_codes(
    cx: &Context,
    tx: &mut TenantTx,
    caller: &AccessClaims,
) -> Result<Vec<Secret<String>>, Refusal> {
    let codes: Vec<_> = (0..CODES).map(|_| BackupCode::from_random(cx.node.ambient.random())).collect();
    let hashes: Vec<_> = codes.iter().map(|code| code.hash(caller.sub)).collect();
    let stored: Vec<_> = hashes.iter().map(|hash| hash.bytes().as_slice()).collect();
    rows::replace_backup_codes(tx, caller.sub, &stored).await?;
    Ok(codes.iter().map(BackupCode::text).collect())
}
