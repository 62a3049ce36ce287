//! What a provider gives back unchanged, and what was kept for that moment.
//!
//! `base64url(tenant's id | 256 random bits)`: every tenant's callback comes to one host, which finds the tenant in it and
//! asks that tenant's store for the hash, so that no query crosses tenants. Whoever changes the tenant has a state that
//! nobody knows.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::id::TenantId;
use crate::keys::{Place, Sealable};
use crate::secret::Secret;

const HASH_DOMAIN: &[u8] = b"freehold/v1/oauth-state/";
const CONNECT_DOMAIN: &[u8] = b"freehold/v1/integration-state/";
const TENANT_BYTES: usize = 16;

/// A state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The tenant whose sign-in it is.
    pub tenant: TenantId,
    secret: Secret<[u8; 32]>,
}

/// The text is no state.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a state that was given out")]
pub struct NotAState;

impl State {
    /// A state of a tenant from bytes fresh from the system's random generator.
    #[must_use]
    pub const fn from_random(tenant: TenantId, random: [u8; 32]) -> Self {
        Self { tenant, secret: Secret::new(random) }
    }

    /// The state as the provider gets it: 64 characters.
    #[must_use]
    pub fn text(&self) -> Secret<String> {
        let bytes = Zeroizing::new([self.tenant.as_bytes().as_slice(), self.secret.expose()].concat());
        Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
    }

    /// What it is found by, in its tenant's store alone. A plain hash is enough for 256 random bits.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash_under(HASH_DOMAIN)
    }

    /// What a state is found by with which an integration is connected: one for a sign-in is none for that.
    #[must_use]
    pub fn connect_hash(&self) -> [u8; 32] {
        self.hash_under(CONNECT_DOMAIN)
    }

    fn hash_under(&self, domain: &[u8]) -> [u8; 32] {
        let hash = Sha256::new_with_prefix(domain).chain_update(self.tenant.as_bytes());
        hash.chain_update(self.secret.expose()).finalize().into()
    }
}

impl FromStr for State {
    type Err = NotAState;

    fn from_str(text: &str) -> Result<Self, NotAState> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| NotAState)?);
        let (tenant, secret) = bytes.split_first_chunk::<TENANT_BYTES>().ok_or(NotAState)?;
        let secret = secret.try_into().map_err(|_| NotAState)?;
        Ok(Self { tenant: TenantId::from_uuid(uuid::Uuid::from_bytes(*tenant)), secret: Secret::new(secret) })
    }
}

/// What the callback needs and the browser must not know: the PKCE verifier, and the nonce of the id token.
#[derive(Clone, Debug)]
pub struct FlowSecrets(Secret<[u8; 64]>);

impl FlowSecrets {
    /// New ones from bytes fresh from the system's random generator.
    #[must_use]
    pub const fn from_random(random: [u8; 64]) -> Self {
        Self(Secret::new(random))
    }

    /// The nonce, for the authorization request and the check of the id token (OpenID Connect Core §3.1.2.1).
    #[must_use]
    pub fn nonce(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.expose().last_chunk::<32>().unwrap_or(&[0; 32])) // 64 bytes have a last half
    }

    pub(super) fn verifier_bytes(&self) -> &[u8; 32] {
        self.0.expose().first_chunk().unwrap_or(&[0; 32]) // and a first
    }

    /// Where those of the state with this hash are sealed.
    #[must_use]
    pub const fn place(state_hash: &[u8; 32]) -> Place<'_> {
        Place { table: "oauth_state", column: "secrets_sealed", row: state_hash }
    }
}

impl Sealable for FlowSecrets {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        self.0.to_plaintext()
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        Secret::from_plaintext(plaintext).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMs;

    fn tenant(last: u8) -> TenantId {
        TenantId::new(UnixMs::new(1), [last; 10])
    }

    #[test]
    fn a_state_has_one_text() {
        let state = State::from_random(tenant(1), [0xFB; 32]);
        let text = state.text().expose().clone();
        assert_eq!(text.len(), 64);
        assert_eq!(text.parse(), Ok(state.clone()));
        assert_eq!(format!("{:?}", state.secret), "[secret]");
        for other in ["", &text[..63], &format!("{text}A"), &format!("{text}="), &text.replace('-', "+")] {
            assert_eq!(other.parse::<State>(), Err(NotAState), "{other}");
        }
    }

    #[test]
    fn the_hash_binds_the_tenant() {
        let mut input = b"freehold/v1/oauth-state/".to_vec();
        input.extend(tenant(1).as_bytes());
        input.extend([7; 32]);
        let state = State::from_random(tenant(1), [7; 32]);
        assert_eq!(state.hash().as_slice(), Sha256::digest(&input).as_slice());
        assert_ne!(state.hash(), State::from_random(tenant(2), [7; 32]).hash());
        assert_ne!(state.hash(), state.connect_hash());
    }

    #[test]
    fn verifier_and_nonce_are_apart_and_read_back() {
        let mut random = [1; 64];
        random[32..].fill(2);
        let secrets = FlowSecrets::from_random(random);
        assert_eq!(secrets.nonce(), URL_SAFE_NO_PAD.encode([2; 32]));
        assert_eq!(secrets.verifier().expose(), &URL_SAFE_NO_PAD.encode([1; 32]));
        let again = FlowSecrets::from_plaintext(secrets.to_plaintext().expose()).unwrap();
        assert_eq!(again.nonce(), secrets.nonce());
        assert!(FlowSecrets::from_plaintext(&[0; 63]).is_none());
    }
}
