//! Proof Key for Code Exchange, method `S256` (RFC 7636): a code is worth nothing without the secret of whoever asked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::state::FlowSecrets;
use crate::secret::Secret;

/// The one method.
pub const METHOD: &str = "S256";

impl FlowSecrets {
    /// The verifier, for the token request alone: 43 characters.
    #[must_use]
    pub fn verifier(&self) -> Secret<String> {
        Secret::new(URL_SAFE_NO_PAD.encode(self.verifier_bytes()))
    }

    /// The challenge, for the authorization request.
    #[must_use]
    pub fn challenge(&self) -> String {
        hashed(self.verifier().expose())
    }
}

/// The challenge of a verifier; `None` for a text that is none (RFC 7636 §4.1).
#[must_use]
pub fn challenge_of(verifier: &str) -> Option<String> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    ((43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved)).then(|| hashed(verifier))
}

fn hashed(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_7636_appendix_b() {
        let challenge = challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge.as_deref(), Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
    }

    #[test]
    fn a_verifier_has_a_form_and_its_own_challenge() {
        let secrets = FlowSecrets::from_random([7; 64]);
        let verifier = secrets.verifier();
        assert_eq!(verifier.expose().len(), 43);
        assert_eq!(challenge_of(verifier.expose()), Some(secrets.challenge()));
        for no in ["", &"a".repeat(42), &"a".repeat(129), &format!("{} ", "a".repeat(43)), &"ä".repeat(43)] {
            assert_eq!(challenge_of(no), None, "{no}");
        }
    }
}
