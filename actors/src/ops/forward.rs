//! Who is behind a request that a reverse proxy holds in its hands and asks about.
//!
//! A browser is known by its refresh cookie, which is looked at in the store and not spent: nothing is rotated, and a
//! token that was spent before is refused and revokes nothing, because pages send many requests while their cookie is
//! being exchanged. Nothing is remembered from one question to the next.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::id::MemberId;
use freehold_domain::refresh_token::{RefreshToken, TokenHash};
use freehold_domain::role::Role;
use freehold_storage::family;

use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::sessions::has_ended;

/// A member who is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The member.
    pub member: MemberId,
    /// The role.
    pub role: Role,
}

/// The member of an access token that was accepted. The tenant is counted, and not the member: a page of a proxied
/// application is many requests.
///
/// # Errors
/// [`Refusal::Unauthenticated`] for one who must enrol a second factor first; what the limits refuse.
pub async fn by_token(cx: &Context, claims: &AccessClaims) -> Result<Known, Refusal> {
    cx.admit(&[cx.tenant_layer()]).await?;
    may_enter(cx, Known { member: claims.sub, role: claims.role }, claims.has_second_factor())
}

/// The member whose session this refresh token would go on with: it is the live one, or was spent so short a while ago
/// that its successor is still held back.
///
/// # Errors
/// [`Refusal::Unauthenticated`] for any other token, and for a member who must enrol a second factor first; what the limits
/// and the store refuse.
pub async fn by_cookie(cx: &Context, token: &RefreshToken) -> Result<Known, Refusal> {
    cx.issued(token)?;
    cx.admit(&[cx.tenant_layer()]).await?;
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let row = family::by_id(&mut tx, token.family).await?.ok_or(Refusal::Unauthenticated)?;
    let stored = row.family.token_hash.as_slice().try_into().map_err(|_| Refusal::Internal)?;
    let presented = token.hash();
    let is_good = TokenHash::from_bytes(stored) == presented
        || family::spent(&mut tx, token.family, presented.bytes())
            .await?
            .is_some_and(|spent| now < spent.held_until_ms);
    drop(tx);
    let member = row.family.member;
    let stands = !has_ended(&cx.live, &row, now) && cx.slot.revocations().admits(token.family, member, row.epoch);
    if !is_good || !stands {
        return Err(Refusal::Unauthenticated);
    }
    let role = row.role.parse().map_err(|_| Refusal::Internal)?;
    may_enter(cx, Known { member, role }, row.second_factor_at_ms.is_some())
}

/// Whoever must enrol a second factor first is nobody for an application that could not say so.
fn may_enter(cx: &Context, known: Known, has_second_factor: bool) -> Result<Known, Refusal> {
    cx.enrolled(known.role, known.member, has_second_factor).map_err(|_| Refusal::Unauthenticated)?;
    Ok(known)
}
