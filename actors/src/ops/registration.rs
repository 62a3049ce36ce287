//! Registration, where the tenant is open to it: what was given waits until its address is confirmed, and then is a member.
//!
//! As with a forgotten password, only whoever reads the mail of an address learns whether it has an account. See
//! [`freehold_domain::registration`] for what waits, and why nobody takes an address in this way.

use freehold_domain::audit::{Action, Actor, Event};
use freehold_domain::email::Email;
use freehold_domain::keys::Sealed;
use freehold_domain::letter::{Content, Name};
use freehold_domain::one_time_token::{OneTimeToken, Purpose};
use freehold_domain::password::Password;
use freehold_domain::plan::Quota;
use freehold_domain::registration::Pending;
use freehold_domain::role::Role;
use freehold_domain::settings::Registration;
use freehold_domain::tier::Tier;
use freehold_storage::one_time_token::{self, Entitled, TokenKey};

use crate::breached::Accepted;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::mailed_token::{self, address_layer, layers};
use crate::ops::new_member::{self, NewMember};
use crate::ops::refusal::Refusal;
use crate::ops::sign_in;
use crate::plans;

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
    let accepted = cx.check_breached(&password).await?;
    let mut permit = cx.reserve_hash()?;
    let password_hash = cx.node.pool.hash(&mut permit, password).await?.text();
    let known = sign_in::find(cx, &email).await?.is_some();

    let token = OneTimeToken::from_random(Purpose::Registration, cx.node.ambient.random());
    let pending = Pending { email: email.clone(), name, password_hash, unchecked: accepted == Accepted::Unchecked };
    let sealed = cx.live.keys.seal(&OneTimeToken::pending_place(&token.hash()), &pending, cx.node.nonce());
    let pending_sealed = Some(sealed.map_err(|_| Refusal::Internal)?.into_bytes());
    let entitled = Entitled { member: None, credential_version: 0, pending_sealed };
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let link = mailed_token::issue(cx, &mut tx, &token, account.bytes(), &entitled).await?;
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
    let hash = token.ok_or(Refusal::InvalidCredentials)?.hash();
    let key = TokenKey { hash: &hash, purpose: Purpose::Registration.as_str() };
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let entitled = one_time_token::open(&mut tx, key, now).await?;
    let sealed = entitled.and_then(|entitled| entitled.pending_sealed).ok_or(Refusal::InvalidCredentials)?;
    is_open(cx)?;
    plans::admit(cx, &mut tx, Quota::Members).await?;
    let sealed = Sealed::from_stored(sealed).map_err(|_| Refusal::Internal)?;
    let pending: Pending =
        cx.live.keys.open_sealed(&OneTimeToken::pending_place(&hash), &sealed).map_err(|_| Refusal::Internal)?;
    if !one_time_token::spend(&mut tx, key, now).await? {
        return Err(Refusal::InvalidCredentials);
    }
    let new = NewMember {
        email: &pending.email,
        name: &pending.name,
        role: ROLE,
        password_hash: Some(pending.password_hash),
        unchecked: pending.unchecked,
    };
    let member = new.row(&cx.node, &cx.live.keys).map_err(|_| Refusal::Internal)?;
    if !new_member::insert(&mut tx, &cx.live.keys, &pending.email, &member).await? {
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
