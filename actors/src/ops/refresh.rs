//! Refreshing: a refresh token for the next pair of its family.

use std::sync::Arc;

use freehold_domain::refresh_token::RefreshToken;

use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::ops::token_pair::TokenPair;
use crate::sessions::{Msg, Presented};

/// Rotates a refresh token. Requests that present the same token together get the same pair; one that comes after the
/// pair was handed out is a replay, and revokes the family.
///
/// # Errors
/// [`Refusal::Unauthenticated`] for a token that is unknown, expired, spent or revoked; [`Refusal::Conflict`] when it
/// was presented to two nodes at once; what the limits refuse.
pub async fn refresh(cx: &Context, token: &RefreshToken) -> Result<Arc<TokenPair>, Refusal> {
    cx.issued(token)?;
    let presented = Presented {
        family: token.family,
        hash: token.hash(),
        arrived: cx.node.ambient.now(),
        counted: cx.counted.clone(),
        origin: cx.client.origin.clone(),
    };
    cx.node.ask(&cx.slot, |reply| Msg::Refresh(presented.clone(), reply)).await?
}
