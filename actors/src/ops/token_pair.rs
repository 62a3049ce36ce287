//! What a sign-in and a refresh give out.

use freehold_domain::access_token::{self, AccessGrant};
use freehold_domain::id::{FamilyId, MemberId, TokenId};
use freehold_domain::refresh_token::RefreshToken;
use freehold_domain::role::Role;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;

use crate::node::Node;
use crate::ops::refusal::Refusal;
use crate::slot::Live;

/// An access token and the refresh token that follows it.
#[derive(Debug, PartialEq, Eq)]
pub struct TokenPair {
    /// The access token, a JWT.
    pub access_token: Secret<String>,
    /// The refresh token; only its hash is stored.
    pub refresh_token: Secret<String>,
    /// When the session ends whatever happens.
    pub session_ends: UnixMs,
    /// Seconds from issue until then.
    pub refresh_expires_in_s: u64,
    /// The session.
    pub session: FamilyId,
    /// From when on the member can do nothing but enrol a second factor, where one is required and missing.
    pub second_factor_due: Option<UnixMs>,
}

/// Whose session a token pair is.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    /// The member.
    pub member: MemberId,
    /// The member's role when the pair is issued.
    pub role: Role,
    /// The member's epoch when the pair is issued.
    pub epoch: i64,
    /// Whether the member has a confirmed second factor then.
    pub has_second_factor: bool,
}

/// A new refresh token of `family`.
pub(crate) fn new_refresh_token(node: &Node, live: &Live, family: FamilyId) -> RefreshToken {
    RefreshToken::issue(&live.keys, family, node.ambient.random())
}

/// Signs an access token and joins it to `refresh`.
///
/// # Errors
/// [`Refusal::Internal`] when the signing key cannot be used.
pub(crate) fn issue(
    node: &Node,
    live: &Live,
    holder: Holder,
    refresh: &RefreshToken,
    session_ends: UnixMs,
) -> Result<TokenPair, Refusal> {
    let wall = node.ambient.wall();
    let grant = AccessGrant {
        issuer: &live.issuer,
        member: holder.member,
        family: refresh.family,
        role: holder.role,
        epoch: holder.epoch,
        has_second_factor: holder.has_second_factor,
        operator: None,
        token: TokenId::new(wall, node.ambient.random()),
    };
    let access_token = access_token::issue(&live.keys, &grant, wall).map_err(|error| {
        tracing::error!(%error, tenant.id = %live.keys.tenant(), "an access token could not be signed");
        Refusal::Internal
    })?;
    Ok(TokenPair {
        access_token,
        refresh_token: refresh.text(),
        session_ends,
        refresh_expires_in_s: session_ends.since(node.ambient.now()).as_secs(),
        session: refresh.family,
        second_factor_due: if holder.has_second_factor {
            None
        } else {
            live.settings.second_factor_due(holder.role, holder.member.made_at())
        },
    })
}
