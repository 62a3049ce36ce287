//! Signing in: a password checked behind every limit, and the one place a session starts.

use freehold_domain::audit::{Action, Actor};
use freehold_domain::device_cookie;
use freehold_domain::email::Email;
use freehold_domain::gcra::{Layer, Subject};
use freehold_domain::id::{FamilyId, MemberId};
use freehold_domain::keys::{CryptoError, LookupKey, Place, Sealed, TenantKeys};
use freehold_domain::password::{Password, PasswordHash};
use freehold_domain::secret::Secret;
use freehold_domain::tier::Tier;
use freehold_storage::family::NewFamily;
use freehold_storage::member::{MemberRow, Standing};
use freehold_storage::{TenantTx, family, lockout, member};

use crate::changes;
use crate::fault;
use crate::lockouts::Attempt;
use crate::ops::assurance::Assurance;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::known_client;
use crate::ops::refusal::Refusal;
use crate::ops::second_factor;
use crate::ops::token_pair::{self, Holder, TokenPair};
use crate::ops::upkeep::Upkeep;

/// A session that was started, and the cookie by which its device is known from now on.
pub struct SignedIn {
    /// The tokens.
    pub pair: TokenPair,
    /// The device cookie.
    pub device_cookie: Secret<String>,
}

/// Signs a member in with e-mail and password.
///
/// Limits first, then a place in the hash queue (none: nothing is charged), then the charge is committed, then the
/// password is hashed to its end; the right one resets the account. An unknown e-mail goes the same way. A device that
/// signed in before shows its cookie and has counters of its own.
///
/// # Errors
/// [`Refusal::InvalidCredentials`] for an unknown account and a wrong password alike, [`Refusal::Locked`] from the
/// attempt after the last one allowed, [`Refusal::SecondFactorRequired`] for the right password of a member who has a
/// second factor, and what the limits, the queue and the store refuse.
pub async fn sign_in(cx: &Context, email: &Email, password: Password) -> Result<SignedIn, Refusal> {
    let keys = &cx.live.keys;
    let account = keys.lockout_key(email);
    let device = cx.client.device_cookie.as_ref();
    let device = device.and_then(|cookie| device_cookie::verify(keys, email, cookie.expose()));
    let bucket = device.map_or(account, |device| device.counter);
    cx.admit(&[login_address(cx), login_account(bucket), cx.tenant_layer()]).await?;
    let mut permit = cx.reserve_hash()?;
    let found = find(cx, email).await?;
    let hash = found.as_ref().map(|member| stored_hash(cx, member)).transpose()?.flatten();
    let known =
        device.filter(|device| found.as_ref().is_some_and(|m| m.credential_version == device.credential_version));
    let counter = known.map_or(account, |device| device.counter);
    let _attempt = Attempt::charge(cx, counter, found.as_ref().map(|member| member.id)).await?;
    let due = found.as_ref().zip(hash.as_ref()).and_then(|(member, hash)| Upkeep::due(cx, member, hash, &password));
    let right = cx.node.pool.verify(&mut permit, password, hash).await?;
    let Some(member) = found.filter(|_| right) else { return Err(Refusal::InvalidCredentials) };
    if let Some(due) = due {
        due.run(cx, &member, &mut permit).await;
    }
    let pair = complete_sign_in(cx, &member, Some(counter)).await?;
    Ok(signed_in(cx, pair, email, &member))
}

/// A pair with the cookie for the device it goes to.
pub(super) fn signed_in(cx: &Context, pair: TokenPair, email: &Email, member: &MemberRow) -> SignedIn {
    let device = cx.node.ambient.random();
    let device_cookie = device_cookie::issue(&cx.live.keys, email, device, member.credential_version);
    SignedIn { pair, device_cookie }
}

/// Ends the first step of a sign-in: with a session, or with a challenge where a second factor is confirmed.
///
/// Either is only given if the credential is still the version that was proved, so that a sign-in that was under way does
/// not survive a change of password; the failures counted by `counter`, if it was that which was charged, are reset in the
/// same transaction.
///
/// # Errors
/// [`Refusal::SecondFactorRequired`] with the challenge; [`Refusal::InvalidCredentials`] when the credential has changed
/// or the member was deactivated meanwhile.
pub(crate) async fn complete_sign_in(
    cx: &Context,
    member: &MemberRow,
    counter: Option<LookupKey>,
) -> Result<TokenPair, Refusal> {
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let standing = hold(&mut tx, member).await?;
    if let Some(counter) = counter {
        lockout::reset(&mut tx, counter.bytes()).await?;
    }
    let Some(assurance) = Assurance::by_first_factor(&mut tx, member.id).await? else {
        return Err(second_factor::challenge(cx, tx, member).await?);
    };
    let pair = start_session(cx, &mut tx, member, &standing, assurance).await?;
    fault::reach("sign_in.written");
    tx.commit().await?;
    fault::reach("sign_in.committed");
    Ok(pair)
}

/// Holds the member to the end of the transaction: a change of the credential that comes now waits, and then revokes what
/// this transaction started. Whoever locks other rows of the member locks this one first.
///
/// # Errors
/// [`Refusal::InvalidCredentials`] when the credential is not the one that was proved any more.
pub(super) async fn hold(tx: &mut TenantTx, member: &MemberRow) -> Result<Standing, Refusal> {
    member::hold(tx, member.id, member.credential_version).await?.ok_or(Refusal::InvalidCredentials)
}

/// Writes a new session of a member who is held; the caller commits. The only code that starts one, and the assurance is
/// the only way in: whatever path leads here has asked for the second factor where there is one.
pub(super) async fn start_session(
    cx: &Context,
    tx: &mut TenantTx,
    member: &MemberRow,
    standing: &Standing,
    assurance: Assurance,
) -> Result<TokenPair, Refusal> {
    let node = &cx.node;
    let now = node.ambient.now();
    let epoch = make_buried_true(cx, tx, member.id, standing.epoch).await?;
    let id = FamilyId::new(now, node.ambient.random());
    let refresh = token_pair::new_refresh_token(node, &cx.live, id);
    let expires_at_ms = now.plus(cx.live.settings.session_lifetime());
    let place = client_place(&id);
    let client = Secret::new(format!("{}\n{}", cx.client.origin.address, cx.client.user_agent));
    let sealed = cx.live.keys.seal(&place, &client, node.nonce()).map_err(|_| Refusal::Internal)?;
    let new = NewFamily {
        id,
        member: member.id,
        token_hash: refresh.hash().bytes().to_vec(),
        client_sealed: sealed.into_bytes(),
        created_at_ms: now,
        expires_at_ms,
    };
    if !family::insert(tx, &new, member.credential_version).await? {
        return Err(Refusal::InvalidCredentials);
    }
    known_client::note(cx, tx, member).await?;
    audit::record_request(tx, cx, Action::SessionStarted, Actor::Member(member.id), id.uuid()).await?;
    let role = standing.role.parse().map_err(|_| Refusal::Internal)?;
    let has_second_factor = assurance.has_second_factor;
    let holder = Holder { member: member.id, role, epoch, has_second_factor };
    token_pair::issue(node, &cx.live, holder, &refresh, expires_at_ms)
}

/// The member's epoch. An end of sessions that was buried here, and of which the store does not know, was in doubt when it
/// was committed: it is made true now, before a token is issued that would be dead at birth.
async fn make_buried_true(cx: &Context, tx: &mut TenantTx, member: MemberId, stored: i64) -> Result<i64, Refusal> {
    let buried = cx.slot.revocations().least_epoch(member).filter(|buried| *buried > stored);
    let Some(buried) = buried else { return Ok(stored) };
    let now = cx.node.ambient.now();
    member::lift_epoch(tx, member, buried).await?;
    family::revoke_all_of(tx, member, now).await?;
    changes::raise(tx, member, buried, now).await?;
    audit::record_request(tx, cx, Action::SessionsEnded, Actor::Unknown, member.uuid()).await?;
    Ok(buried)
}

/// Where a session's address and user agent are sealed.
pub(super) fn client_place(id: &FamilyId) -> Place<'_> {
    Place { table: "token_family", column: "client_sealed", row: id.as_bytes() }
}

/// Where a member's e-mail address is sealed.
pub(super) fn email_place(id: &MemberId) -> Place<'_> {
    Place { table: "member", column: "email_sealed", row: id.as_bytes() }
}

/// Where a member's name is sealed.
pub(super) fn name_place(id: &MemberId) -> Place<'_> {
    Place { table: "member", column: "name_sealed", row: id.as_bytes() }
}

/// A member's password hash; `None` for one who has no password.
pub(super) fn stored_hash(cx: &Context, member: &MemberRow) -> Result<Option<PasswordHash>, Refusal> {
    let text = member.password_hash.as_ref();
    text.map(|text| PasswordHash::parse(text.expose())).transpose().map_err(|error| {
        tracing::error!(%error, tenant.id = %cx.slot.id, "a stored password hash cannot be read");
        Refusal::Internal
    })
}

/// The member with this address, deactivated or not.
pub(super) async fn find(cx: &Context, email: &Email) -> Result<Option<MemberRow>, Refusal> {
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    find_in(cx, &mut tx, email).await
}

/// The member with this address, deactivated or not.
pub(super) async fn find_in(cx: &Context, tx: &mut TenantTx, email: &Email) -> Result<Option<MemberRow>, Refusal> {
    for key in cx.live.keys.email_keys(email) {
        let found = member::by_email_key(tx, key.bytes()).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The member's e-mail address.
pub(super) fn email_of(cx: &Context, member: &MemberRow) -> Result<Email, Refusal> {
    opened_email(&cx.live.keys, member).map_err(|_| Refusal::Internal)
}

/// The member's e-mail address, opened with the tenant's keys.
pub(crate) fn opened_email(keys: &TenantKeys, member: &MemberRow) -> Result<Email, CryptoError> {
    let sealed = Sealed::from_stored(member.email_sealed.clone()).map_err(|_| CryptoError)?;
    keys.open_sealed(&email_place(&member.id), &sealed)
}

/// Sign-in attempts of the client's address.
pub(super) fn login_address(cx: &Context) -> Layer {
    Layer { tier: Tier::LoginAddress, subject: cx.client.bucket }
}

/// The bucket of an account, known or not: the first half of its keyed hash.
pub(super) fn login_account(account: LookupKey) -> Layer {
    let half = account.bytes().first_chunk().copied().unwrap_or_default();
    Layer { tier: Tier::LoginAccount, subject: Subject(u128::from_be_bytes(half)) }
}
