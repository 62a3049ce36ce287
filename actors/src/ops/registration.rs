//! Registration, where the tenant is open to it: what was given waits until its address is confirmed, and then is a member.
//!
//! As with a forgotten password, only whoever reads the mail of an address learns whether it has an account. See
//! [`freehold_domain::registration`] for what waits, and why nobody takes an address in this way.

use freehold_domain::audit::{Action, Actor, Event};
use freehold_domain::email::Email;
use freehold_domain::id::MemberId;
use freehold_domain::keys::Sealed;
use freehold_domain::letter::{Content, Name};
use freehold_domain::one_time_token::{OneTimeToken, Purpose};
use freehold_domain::password::Password;
use freehold_domain::registration::Pending;
use freehold_domain::role::Role;
use freehold_domain::settings::Registration;
use freehold_domain::tier::Tier;
use freehold_storage::member::{self, MemberRow};
use freehold_storage::one_time_token::{self, Entitled, TokenKey};

use crate::breached::Accepted;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::mailed_token::{self, address_layer, layers};
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::{self, email_place, name_place};

/// What a member has who registered: the least.
const ROLE: Role = Role::Employee;

/// Takes a registration; a letter to its address says how to go on.
///
/// # Errors
/// [`Refusal::RegistrationClosed`]; [`Refusal::TooShort`] and [`Refusal::Breached`].
pub async fn register(cx: &Context, email: Email, password: Password, name: Name) -> Result<(), Refusal> {
    let account = cx.live.keys.lockout_key(&email);
    cx.admit(&layers(cx, Tier::Signup, account)).await?;
    is_open(cx)?;
    password.at_least(cx.live.settings.password_chars_min(ROLE, false))?;
    let accepted = cx.node.breached.check(&password).await?;
    let mut permit = cx.node.pool.reserve()?;
    let password_hash = cx.node.pool.hash(&mut permit, password).await?.text();
    let known = sign_in::find(cx, &email).await?.is_some();

    let token = OneTimeToken::from_random(Purpose::Registration, cx.node.ambient.random());
    let pending = Pending { email: email.clone(), name, password_hash, unchecked: accepted == Accepted::Unchecked };
    let sealed = cx.live.keys.seal(&Pending::place(&token.hash()), &pending, cx.node.nonce());
    let pending_sealed = Some(sealed.map_err(|_| Refusal::Internal)?.into_bytes());
    let entitled = Entitled { member: None, credential_version: 0, pending_sealed };
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let link = mailed_token::issue(cx, &mut tx, &token, account, &entitled).await?;
    let content = if known { Content::AlreadyMember } else { Content::VerifyEmail(link) };
    cx.write_to(&mut tx, email, content).await?;
    let detail = cx.client.origin.detail();
    let event = Event { action: Action::RegistrationRequested, actor: Actor::Unknown, subject: None, detail };
    audit::record(&mut tx, &cx.node, &cx.live.keys, &event).await?;
    Ok(tx.commit().await?)
}

/// Spends a token: what was registered is a member, who signs in like every other.
///
/// # Errors
/// [`Refusal::InvalidCredentials`] for a token that is unknown, spent or expired; [`Refusal::Collides`] when the address has
/// become a member's meanwhile; [`Refusal::RegistrationClosed`].
pub async fn verify(cx: &Context, token: Option<&OneTimeToken>) -> Result<(), Refusal> {
    cx.admit(&[address_layer(cx, Tier::Signup), cx.tenant_layer()]).await?;
    is_open(cx)?;
    let hash = token.ok_or(Refusal::InvalidCredentials)?.hash();
    let key = TokenKey { hash: &hash, purpose: Purpose::Registration.as_str() };
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let entitled = one_time_token::open(&mut tx, key, now).await?;
    let sealed = entitled.and_then(|entitled| entitled.pending_sealed).ok_or(Refusal::InvalidCredentials)?;
    let sealed = Sealed::from_stored(sealed).map_err(|_| Refusal::Internal)?;
    let pending: Pending = cx.live.keys.open_sealed(&Pending::place(&hash), &sealed).map_err(|_| Refusal::Internal)?;
    if !one_time_token::spend(&mut tx, key, now).await? {
        return Err(Refusal::InvalidCredentials);
    }
    for email_key in cx.live.keys.email_keys(&pending.email) {
        if member::by_email_key(&mut tx, email_key.bytes()).await?.is_some() {
            return Err(Refusal::Collides);
        }
    }
    let member = row(cx, pending)?;
    if !member::insert(&mut tx, &member).await? {
        return Err(Refusal::Collides);
    }
    let actor = Actor::Member(member.id);
    audit::record_request(&mut tx, cx, Action::MemberRegistered, actor, member.id.uuid()).await?;
    tx.commit().await?;
    tracing::info!(tenant.id = %cx.slot.id, member.id = %member.id, "a member registered");
    Ok(())
}

fn is_open(cx: &Context) -> Result<(), Refusal> {
    match cx.live.settings.registration {
        Registration::Open => Ok(()),
        Registration::Closed => Err(Refusal::RegistrationClosed),
    }
}

fn row(cx: &Context, Pending { email, name, password_hash, unchecked }: Pending) -> Result<MemberRow, Refusal> {
    let now = cx.node.ambient.now();
    let id = MemberId::new(now, cx.node.ambient.random());
    let keys = &cx.live.keys;
    let email_sealed = keys.seal(&email_place(&id), &email, cx.node.nonce()).map_err(|_| Refusal::Internal)?;
    let name_sealed = keys.seal(&name_place(&id), &name, cx.node.nonce()).map_err(|_| Refusal::Internal)?;
    Ok(MemberRow {
        id,
        email_key: keys.email_key(&email).bytes().to_vec(),
        email_sealed: email_sealed.into_bytes(),
        name_sealed: name_sealed.into_bytes(),
        password_hash: Some(password_hash),
        role: ROLE.as_str().to_owned(),
        credential_version: 1,
        epoch: 1,
        created_at_ms: now,
        deactivated_at_ms: None,
        password_unchecked_at_ms: unchecked.then_some(now),
    })
}
