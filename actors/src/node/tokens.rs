//! Access tokens that were verified before: a signature check costs forty microseconds, a look-up less than one.
//!
//! The cache answers for signatures and nothing else: whether a token has expired or its session was revoked is asked
//! on every request.

use std::sync::Arc;

use freehold_domain::access_token::{self, ACCESS_TOKEN_BYTES_MAX, AccessClaims, token_digest};
use quick_cache::sync::Cache;

use crate::node::Node;
use crate::ops::refusal::Refusal;
use crate::slot::{Live, TenantSlot};

/// How many verified tokens a node remembers.
const REMEMBERED_MAX: usize = 100_000;

/// Verified tokens by SHA-256 and by the load whose keys verified them: a tenant that is loaded anew, as after a change
/// of its keys, has none.
pub struct Tokens(Cache<(u64, [u8; 32]), Arc<AccessClaims>>);

impl Default for Tokens {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED_MAX))
    }
}

impl Node {
    /// The claims of an access token that is good on this tenant's host, now.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] for every token that is not, whatever the reason.
    pub fn authenticate(&self, slot: &TenantSlot, live: &Live, token: &str) -> Result<Arc<AccessClaims>, Refusal> {
        if token.len() > ACCESS_TOKEN_BYTES_MAX {
            return Err(Refusal::Unauthenticated);
        }
        let key = (live.number, token_digest(token));
        let now = self.ambient.wall();
        let claims = if let Some(claims) = self.tokens.0.get(&key) {
            claims
        } else {
            let claims = access_token::verify(token, &live.keys, slot.id, &live.issuer, now);
            let claims = Arc::new(claims.map_err(|_| Refusal::Unauthenticated)?);
            self.tokens.0.insert(key, Arc::clone(&claims));
            claims
        };
        let standing = now.as_secs() < claims.exp
            && now.as_secs() >= claims.iat
            && slot.revocations().admits(claims.sid, claims.sub, claims.epoch);
        if standing { Ok(claims) } else { Err(Refusal::Unauthenticated) }
    }
}
