//! An operator who acts as a member, for support: where the tenant allows it, for a reason, for fifteen minutes.
//!
//! The session has no refresh token that anybody knows, so it ends with its access token, and before that on the next
//! request after the tenant takes its leave back or the operator's own session ends. The member sees it among the own
//! sessions, with the reason, and can end it there. The token says who acts (RFC 8693 `act`), and what it may do is what
//! the policy lets both the member and support do. It is recorded at the tenant and at the platform.

use std::time::Duration;

use freehold_domain::access_token::{ACCESS_TOKEN_S, AccessClaims, AccessGrant, Acting, issue};
use freehold_domain::audit::{Action, Detail};
use freehold_domain::id::{FamilyId, MemberId, TenantId, TokenId};
use freehold_domain::secret::Secret;
use freehold_domain::slug::Slug;
use freehold_domain::tenant_state::TenantState;
use freehold_storage::family::{self, NewFamily};
use freehold_storage::member;

use crate::node::Node;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::operators;
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::client_place;
use crate::ops::tenants;
use crate::ops::token_pair;
use crate::slot::Live;

/// What an operator gets.
#[derive(Debug)]
pub struct SupportSession {
    /// The access token; there is no refresh token.
    pub access_token: Secret<String>,
    /// The session, as the member sees it.
    pub session: FamilyId,
    /// The tenant's public origin.
    pub url: String,
}

/// Lets the caller, an operator whose session is fresh, act as a member of a tenant.
///
/// # Errors
/// [`Refusal::NotFresh`]; [`Refusal::NotFound`] for a tenant that is not served and a member who is not active;
/// [`Refusal::NoSupportAccess`] where the tenant does not allow it.
pub async fn start(
    cx: &Context,
    caller: &AccessClaims,
    tenant: TenantId,
    id: MemberId,
    reason: &str,
) -> Result<SupportSession, Refusal> {
    operators::admit(cx, caller).await?;
    drop(begin_fresh(cx, caller).await?);
    let row = operators::by_id(cx, tenant).await?;
    let slug: Slug = row.slug.parse().map_err(|_| Refusal::Internal)?;
    let slot = tenants::slot(&cx.node, &slug).await.map_err(operators::refused)?;
    let now = cx.node.ambient.now();
    if slot.standing().state_at(now) != TenantState::Active {
        return Err(Refusal::NotFound);
    }
    let live = cx.node.live(&slot).await?;
    if !live.settings.support_access {
        return Err(Refusal::NoSupportAccess);
    }
    let by = operators::by(cx, caller);
    let session = FamilyId::new(now, cx.node.ambient.random());
    let family = family_row(cx, &live, session, id, reason)?;
    let mut tx = cx.node.store.write(tenant).await?;
    let member = member::by_id(&mut tx, id).await?.ok_or(Refusal::NotFound)?;
    if !family::insert(&mut tx, &family, member.credential_version).await? {
        return Err(Refusal::NotFound);
    }
    let detail = Detail { reason: Some(reason.to_owned()), ..Detail::default() };
    let mut event = by.event(tenant, Action::SupportStarted, detail);
    event.subject = Some(id.uuid());
    audit::record(&mut tx, &cx.node, &live.keys, &event).await?;
    tx.commit().await?;
    operators::record(cx, &by, tenant, Action::SupportStarted, Some(reason)).await?;
    let grant = AccessGrant {
        issuer: &live.issuer,
        member: id,
        family: session,
        role: member.role.parse().map_err(|_| Refusal::Internal)?,
        epoch: member.epoch,
        has_second_factor: true, // the operator's own, which the platform has asked for
        operator: Some(Acting { sub: caller.sub, sid: caller.sid, epoch: caller.epoch }),
        token: TokenId::new(cx.node.ambient.wall(), cx.node.ambient.random()),
    };
    let access_token = issue(&live.keys, &grant, cx.node.ambient.wall()).map_err(|_| Refusal::Internal)?;
    tracing::info!(tenant.id = %tenant, operator.id = %caller.sub, "an operator acts as a member");
    Ok(SupportSession { access_token, session, url: cx.node.settings.issuer(&slug) })
}

/// Whether an operator may go on acting as a member: the tenant still allows it, and the operator's own session still stands
/// at the platform, as far as this node knows.
///
/// # Errors
/// [`Refusal::Unauthenticated`] when not; what loading the platform refuses.
pub async fn stands(node: &Node, live: &Live, acting: &Acting) -> Result<(), Refusal> {
    if !live.settings.support_access {
        return Err(Refusal::Unauthenticated);
    }
    let platform = tenants::slot(node, &Slug::platform()).await.map_err(operators::refused)?;
    node.live(&platform).await?; // what it has ended of late is known once it is loaded
    let is_served = platform.standing().state_at(node.ambient.now()) == TenantState::Active;
    let stands = platform.revocations().admits(acting.sid, acting.sub, acting.epoch);
    if is_served && stands { Ok(()) } else { Err(Refusal::Unauthenticated) }
}

/// A family whose refresh token nobody has.
fn family_row(cx: &Context, live: &Live, id: FamilyId, member: MemberId, reason: &str) -> Result<NewFamily, Refusal> {
    let node: &Node = &cx.node;
    let now = node.ambient.now();
    let refresh = token_pair::new_refresh_token(node, live, id);
    let client = Secret::new(format!("{}\nSupport by an operator: {reason}", cx.client.origin.address));
    let sealed = live.keys.seal(&client_place(&id), &client, node.nonce()).map_err(|_| Refusal::Internal)?;
    Ok(NewFamily {
        id,
        member,
        token_hash: refresh.hash().bytes().to_vec(),
        client_sealed: sealed.into_bytes(),
        created_at_ms: now,
        expires_at_ms: now.plus(Duration::from_secs(ACCESS_TOKEN_S.unsigned_abs())),
    })
}
