//! The end of a sign-in at a provider, on the tenant's own host: the browser that began shows its cookie and the code, and
//! only now it is decided who this is here.
//!
//! A known identity is a first factor like a password, and passes the same gate. Linking is done for the member whose
//! session began it, while that session lives.

use freehold_domain::audit::{Action, Actor};
use freehold_domain::email::Email;
use freehold_domain::gcra::Layer;
use freehold_domain::id::{FamilyId, IdentityId, MemberId};
use freehold_domain::keys::Sealed;
use freehold_domain::letter::CredentialChange;
use freehold_domain::oauth::{Entry, IDENTITIES_MAX, Known, Profile, Provider, Refused, enter};
use freehold_domain::one_time_token::OneTimeToken;
use freehold_domain::plan::Quota;
use freehold_domain::role::Role;
use freehold_domain::tier::Tier;
use freehold_storage::identity::{self, IdentityRow};
use freehold_storage::member::MemberRow;
use freehold_storage::{TenantTx, family, member, oauth as rows};

use super::{configured, count};
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::identities::{IdentityItem, account_place, item};
use crate::ops::new_member::{self, NewMember};
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::{SignedIn, complete_sign_in, email_of, find, hold, login_address, signed_in};
use crate::ops::tenants::Name;
use crate::plans;

/// How a sign-in at a provider ended.
pub enum Home {
    /// With a session.
    SignedIn(SignedIn),
    /// With an account that was linked.
    Linked(IdentityItem),
}

/// What a provider vouched for.
struct Vouched {
    provider: Provider,
    /// Whose subject it is.
    authority: String,
    profile: Profile,
}

/// Takes a code and a browser in.
///
/// # Errors
/// [`Refused::Expired`] for a code that is unknown, used, too old or another browser's; [`Refused`] as `domain` decides;
/// [`Refusal::SecondFactorRequired`] as after a password; [`Refusal::Collides`] for an account that is somebody else's.
pub async fn come_home(
    cx: &Context,
    code: Option<&OneTimeToken>,
    browser: Option<&OneTimeToken>,
) -> Result<Home, Refusal> {
    cx.admit(&[login_address(cx), cx.tenant_layer()]).await?;
    let (code, browser) = code.zip(browser).ok_or(Refused::Expired)?;
    let hash = code.hash();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let row = rows::take_handoff(&mut tx, &hash, &browser.hash(), cx.node.ambient.now()).await?;
    tx.commit().await?;
    let row = row.ok_or(Refused::Expired)?;
    let sealed = Sealed::from_stored(row.profile_sealed).map_err(|_| Refusal::Internal)?;
    let profile = cx.live.keys.open_sealed(&Profile::place(&hash), &sealed).map_err(|_| Refusal::Internal)?;
    let provider: Provider = row.provider.parse().map_err(|_| Refusal::Internal)?;
    let authority = configured(cx, provider).map_err(|_| Refused::Expired)?.authority().to_owned();
    let vouched = Vouched { provider, authority, profile };
    let home = match row.family {
        Some(family) => link(cx, &vouched, family).await.map(Home::Linked),
        None => sign_in(cx, &vouched).await.map(Home::SignedIn),
    };
    count(provider, outcome(&home));
    home
}

const fn outcome(home: &Result<Home, Refusal>) -> &'static str {
    match home {
        Ok(Home::SignedIn(_)) => "signed_in",
        Ok(Home::Linked(_)) => "linked",
        Err(Refusal::SecondFactorRequired(_)) => "challenged",
        Err(_) => "refused",
    }
}

async fn sign_in(cx: &Context, vouched: &Vouched) -> Result<SignedIn, Refusal> {
    let found = member_of(cx, vouched).await?;
    let known = match (&found, &vouched.profile.email) {
        (Some(member), _) => Known::Identity { is_active: member.deactivated_at_ms.is_none() },
        (None, None) => Known::NoEmail,
        (None, Some(email)) if find(cx, email).await?.is_some() => Known::Email,
        (None, Some(_)) => Known::Nobody,
    };
    let member = match (enter(known, cx.live.settings.registration)?, found, &vouched.profile.email) {
        (Entry::SignIn, Some(member), _) => member,
        (Entry::Register, None, Some(email)) => register(cx, vouched, email).await?,
        (Entry::SignIn | Entry::Register, _, _) => return Err(Refusal::Internal),
    };
    let pair = complete_sign_in(cx, &member, None).await?;
    Ok(signed_in(cx, pair, &email_of(cx, &member)?, &member))
}

async fn member_of(cx: &Context, vouched: &Vouched) -> Result<Option<MemberRow>, Refusal> {
    let Vouched { provider, authority, profile } = vouched;
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    for key in cx.live.keys.identity_keys(*provider, authority, &profile.subject) {
        let found = identity::member_of(&mut tx, provider.as_str(), key.bytes()).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Makes a member of somebody whose address the provider has verified, without a password.
async fn register(cx: &Context, vouched: &Vouched, email: &Email) -> Result<MemberRow, Refusal> {
    cx.admit(&[Layer { tier: Tier::Signup, subject: cx.client.bucket }]).await?;
    let member = member_to_be(cx, &vouched.profile, email)?;
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    plans::admit(cx, &mut tx, Quota::Members).await?;
    if !new_member::insert(&mut tx, &cx.live.keys, email, &member).await? {
        return Err(Refused::NotLinked.into()); // a rival was first
    }
    if add(cx, &mut tx, vouched, member.id).await?.is_none() {
        return Err(Refusal::Conflict);
    }
    let actor = Actor::Member(member.id);
    audit::record_request(&mut tx, cx, Action::MemberRegistered, actor, member.id.uuid()).await?;
    audit::record_request(&mut tx, cx, Action::IdentityLinked, actor, member.id.uuid()).await?;
    tx.commit().await?;
    count(vouched.provider, "registered");
    tracing::info!(tenant.id = %cx.slot.id, member.id = %member.id, "a member registered by a provider");
    Ok(member)
}

fn member_to_be(cx: &Context, profile: &Profile, email: &Email) -> Result<MemberRow, Refusal> {
    let local: Option<Name> = email.as_str().split('@').next().and_then(|local| local.parse().ok());
    let name = profile.name.clone().or(local).ok_or(Refusal::Internal)?;
    let new = NewMember { email, name: &name, role: Role::Employee, password_hash: None, unchecked: false };
    new.row(&cx.node, &cx.live.keys).map_err(|_| Refusal::Internal)
}

/// Gives the account to the member whose session began this. Repeating is the same.
async fn link(cx: &Context, vouched: &Vouched, family: FamilyId) -> Result<IdentityItem, Refusal> {
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let session = family::by_id(&mut tx, family).await?.map(|row| row.family);
    let alive = session.filter(|family| family.revoked_at_ms.is_none() && now < family.expires_at_ms);
    let member = member::by_id(&mut tx, alive.ok_or(Refused::Expired)?.member).await?.ok_or(Refused::Expired)?;
    hold(&mut tx, &member).await.map_err(|_| Refused::Expired)?;
    if let Some(known) = known(cx, &mut tx, vouched).await? {
        return if known.member == member.id { Ok(item(cx, &known)?) } else { Err(Refusal::Collides) };
    }
    if identity::all_of(&mut tx, member.id, IDENTITIES_MAX).await?.len() >= IDENTITIES_MAX as usize {
        return Err(Refusal::Collides);
    }
    let added = add(cx, &mut tx, vouched, member.id).await?.ok_or(Refusal::Collides)?;
    cx.write_of_change(&mut tx, email_of(cx, &member)?, CredentialChange::IdentityLinked).await?;
    audit::record_request(&mut tx, cx, Action::IdentityLinked, Actor::Member(member.id), member.id.uuid()).await?;
    tx.commit().await?;
    tracing::info!(tenant.id = %cx.slot.id, member.id = %member.id, "an identity was linked");
    item(cx, &added)
}

async fn known(cx: &Context, tx: &mut TenantTx, vouched: &Vouched) -> Result<Option<IdentityRow>, Refusal> {
    let Vouched { provider, authority, profile } = vouched;
    for key in cx.live.keys.identity_keys(*provider, authority, &profile.subject) {
        let found = identity::by_subject(tx, provider.as_str(), key.bytes()).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Writes the identity as this member's. `None` when it is somebody's already.
async fn add(
    cx: &Context,
    tx: &mut TenantTx,
    vouched: &Vouched,
    member: MemberId,
) -> Result<Option<IdentityRow>, Refusal> {
    let Vouched { provider, authority, profile } = vouched;
    let (now, keys) = (cx.node.ambient.now(), &cx.live.keys);
    let id = IdentityId::new(now, cx.node.ambient.random());
    let seal = |account| keys.seal(&account_place(&id), account, cx.node.nonce()).map(Sealed::into_bytes);
    let row = IdentityRow {
        id,
        provider: provider.as_str().to_owned(),
        subject_key: keys.identity_key(*provider, authority, &profile.subject).bytes().to_vec(),
        member,
        account_sealed: profile.account.as_ref().map(seal).transpose().map_err(|_| Refusal::Internal)?,
        created_at_ms: now,
    };
    Ok(identity::insert(tx, &row).await?.then_some(row))
}
