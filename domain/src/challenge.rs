//! The challenge between the two steps of a sign-in: proof that the first factor was right, worth nothing without the
//! second.
//!
//! ```text
//! Open(n) --wrong, n < 4--> Open(n+1)    Open(4) --wrong--> void    Open --right--> spent    Open --5 min--> expired
//! ```
//!
//! `fhc_{43 characters of base64url}`: 256 random bits, of which the store keeps a SHA-256.

use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// How long a challenge can be answered.
pub const CHALLENGE_TTL: Duration = Duration::from_mins(5);
/// How many answers it takes, right or wrong.
pub const ANSWERS_MAX: u32 = 5;

const FRONT: &str = "fhc_";
const HASH_DOMAIN: &[u8] = b"freehold/v1/second-factor-challenge/";

/// A challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(Secret<[u8; 32]>);

/// The text is no challenge.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a challenge")]
pub struct NotAChallenge;

impl Challenge {
    /// A challenge from bytes fresh from the system's random generator.
    #[must_use]
    pub const fn from_random(random: [u8; 32]) -> Self {
        Self(Secret::new(random))
    }

    /// The challenge as the client gets it.
    #[must_use]
    pub fn text(&self) -> Secret<String> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.expose()));
        Secret::new(format!("{FRONT}{}", secret.as_str()))
    }

    /// `SHA-256("freehold/v1/second-factor-challenge/" | challenge)`: what it is found by. A plain hash is enough for
    /// 256 random bits.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new_with_prefix(HASH_DOMAIN).chain_update(self.0.expose()).finalize().into()
    }
}

impl FromStr for Challenge {
    type Err = NotAChallenge;

    fn from_str(text: &str) -> Result<Self, NotAChallenge> {
        let secret = text.strip_prefix(FRONT).ok_or(NotAChallenge)?;
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.decode(secret).map_err(|_| NotAChallenge)?);
        secret.as_slice().try_into().map(Self::from_random).map_err(|_| NotAChallenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_has_one_text() {
        let challenge = Challenge::from_random([0xFB; 32]);
        let text = challenge.text().expose().clone();
        assert_eq!(text.len(), 47);
        assert_eq!(text.parse(), Ok(challenge));
        for other in ["", "fhc_", &text[4..], &text[..46], &format!("{text}="), &text.replace("fhc_", "fhr_")] {
            assert_eq!(other.parse::<Challenge>(), Err(NotAChallenge), "{other}");
        }
    }

    #[test]
    fn the_hash_is_the_documented_one() {
        let mut input = b"freehold/v1/second-factor-challenge/".to_vec();
        input.extend([7; 32]);
        let challenge = Challenge::from_random([7; 32]);
        assert_eq!(challenge.hash().as_slice(), Sha256::digest(&input).as_slice());
        assert_eq!(format!("{challenge:?}"), "Challenge([secret])");
    }
}
