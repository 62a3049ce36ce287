//! Tokens that are sent by mail: each works once, for an hour, and a newer one takes its place.

use std::time::Duration;

use freehold_domain::gcra::{Layer, Subject};
use freehold_domain::keys::LookupKey;
use freehold_domain::letter::Link;
use freehold_domain::one_time_token::OneTimeToken;
use freehold_domain::tier::Tier;
use freehold_storage::TenantTx;
use freehold_storage::one_time_token::{self, Entitled, TokenKey};

use crate::ops::context::Context;
use crate::ops::refusal::Refusal;

/// How long a token is good.
const TTL: Duration = Duration::from_hours(1);

/// Stores a token of this subject, an account or a member; the link that carries it. Whether there is such an account makes
/// no difference here.
pub(super) async fn issue(
    cx: &Context,
    tx: &mut TenantTx,
    token: &OneTimeToken,
    subject: &[u8],
    entitled: &Entitled,
) -> Result<Link, Refusal> {
    let until = cx.node.ambient.now().plus(TTL);
    let hash = token.hash();
    let key = TokenKey { hash: &hash, purpose: token.purpose().as_str() };
    if !one_time_token::replace(tx, key, subject, entitled, until).await? {
        return Err(Refusal::Overloaded);
    }
    Ok(Link { token: token.text(), until: cx.node.ambient.wall().plus(TTL) })
}

/// What is counted of a request that stands for an account, known or not: its address, the account, and the tenant.
pub(super) fn layers(cx: &Context, tier: Tier, account: LookupKey) -> [Layer; 3] {
    let half = account.bytes().first_chunk().copied().unwrap_or_default();
    let account = Layer { tier, subject: Subject(u128::from_be_bytes(half)) };
    [address_layer(cx, tier), account, cx.tenant_layer()]
}

/// The layer of the client's address.
pub(super) fn address_layer(cx: &Context, tier: Tier) -> Layer {
    Layer { tier, subject: cx.client.bucket }
}
