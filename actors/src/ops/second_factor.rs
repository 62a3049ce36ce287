//! The second step of a sign-in: a challenge, and the answer to it.

use freehold_domain::challenge::{ANSWERS_MAX, CHALLENGE_TTL, Challenge};
use freehold_domain::gcra::{Layer, Subject};
use freehold_domain::id::MemberId;
use freehold_domain::tier::Tier;
use freehold_storage::member::MemberRow;
use freehold_storage::second_factor::{self as rows, Challenged};
use freehold_storage::{TenantTx, lockout, member};

use crate::fault;
use crate::lockouts::Attempt;
use crate::ops::assurance::Assurance;
pub use crate::ops::assurance::Factor;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::{SignedIn, email_of, hold, login_address, signed_in, start_session};

/// Ends a first step with a challenge, and commits. The refusal to answer with, which carries it.
///
/// # Errors
/// [`Refusal::Unavailable`] when the store did not commit: there is no challenge.
pub(super) async fn challenge(cx: &Context, mut tx: TenantTx, member: &MemberRow) -> Result<Refusal, Refusal> {
    let challenge = Challenge::from_random(cx.node.ambient.random());
    let waits = Challenged { member: member.id, credential_version: member.credential_version };
    let expires_at_ms = cx.node.ambient.now().plus(CHALLENGE_TTL);
    rows::challenge(&mut tx, &challenge.hash(), waits, expires_at_ms).await?;
    tx.commit().await?;
    Ok(Refusal::SecondFactorRequired(challenge.text()))
}

/// Finishes a sign-in with a second factor.
///
/// Limits first, then the charge is committed against the member's second factor, which has a counter of its own; then
/// one transaction counts the answer, checks and spends the factor, ends the challenge and starts the session. A wrong
/// answer commits that it was given before anybody learns that it was wrong. The right one resets the counter.
///
/// # Errors
/// [`Refusal::InvalidCredentials`] for a wrong or spent factor, and for a challenge that is unknown, answered, expired or
/// older than the credential; [`Refusal::Locked`] from the attempt after the last one allowed.
pub async fn finish_sign_in(cx: &Context, challenge: &Challenge, factor: &Factor) -> Result<SignedIn, Refusal> {
    cx.admit(&[login_address(cx), cx.tenant_layer()]).await?;
    let token = challenge.hash();
    let member = challenged(cx, &token).await?.ok_or(Refusal::InvalidCredentials)?;
    cx.admit(&[answers(member.id)]).await?;
    let counter = cx.live.keys.second_factor_lockout_key(member.id);
    let _attempt = Attempt::charge(cx, counter, Some(member.id)).await?;

    let (now, wall) = (cx.node.ambient.now(), cx.node.ambient.wall());
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let standing = hold(&mut tx, &member).await?;
    if !rows::count_answer(&mut tx, &token, ANSWERS_MAX, now).await? {
        return Err(Refusal::InvalidCredentials);
    }
    let keys = &cx.live.keys;
    let Some(assurance) = Assurance::by_second_factor(&mut tx, keys, member.id, factor, (now, wall)).await? else {
        tx.commit().await?;
        return Err(Refusal::InvalidCredentials);
    };
    if !rows::spend_challenge(&mut tx, &token).await? {
        return Err(Refusal::InvalidCredentials);
    }
    lockout::reset(&mut tx, counter.bytes()).await?;
    let pair = start_session(cx, &mut tx, &member, &standing, assurance).await?;
    fault::reach("second_factor.written");
    tx.commit().await?;
    fault::reach("second_factor.committed");
    Ok(signed_in(cx, pair, &email_of(cx, &member)?, &member))
}

/// The member who waits behind a challenge, with the credential that its first step proved.
async fn challenged(cx: &Context, token: &[u8]) -> Result<Option<MemberRow>, Refusal> {
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let Some(waits) = rows::challenged(&mut tx, token, ANSWERS_MAX, cx.node.ambient.now()).await? else {
        return Ok(None);
    };
    let member = member::by_id(&mut tx, waits.member).await?;
    Ok(member.filter(|member| member.credential_version == waits.credential_version))
}

/// Answers of a member, right or wrong.
pub(super) fn answers(member: MemberId) -> Layer {
    Layer { tier: Tier::SecondFactor, subject: Subject(member.uuid().as_u128()) }
}
