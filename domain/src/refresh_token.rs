//! Refresh tokens: `fhr_{family, 32 hex digits}_{secret, 56 characters of base64url}`, 93 characters.
//!
//! The family is public (`sid` of the access tokens) and says which row to read; the secret is 256 random bits and a tag of 80
//! by the tenant's key, over both. Only a SHA-256 over family and secret is stored. Each token has exactly one text.
//!
//! The tag opens nothing: it tells a text that some stranger made from one that this tenant once gave to somebody, before the
//! store is asked and before anybody's limit is charged. Who guesses one, once in 2^80, has a look-up for it.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::id::FamilyId;
use crate::keys::TenantKeys;
use crate::secret::Secret;
use crate::stored_hash::stored_hash;

/// Characters of a refresh token.
pub const REFRESH_TOKEN_CHARS: usize = 93;

const FRONT: &str = "fhr_";
const HASH_DOMAIN: &[u8] = b"freehold/v1/refresh-token/";

/// Bytes of a secret that are random: 256 bits, of which OWASP ASVS 5.0 §7.2.3 wants 128.
pub const RANDOM_BYTES: usize = 32;
/// And those that are its tag: with them the text has no unused bits.
const TAG_BYTES: usize = 10;

/// A refresh token: whose it is, and the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The family it belongs to.
    pub family: FamilyId,
    /// The random bytes, and the tag.
    secret: Secret<[u8; RANDOM_BYTES + TAG_BYTES]>,
}

stored_hash! {
    /// What the store keeps of a refresh token. Compared in constant time; `Debug` hides it.
    TokenHash
}

/// The text is no refresh token.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a refresh token")]
pub struct NotARefreshToken;

impl RefreshToken {
    /// A new token of `family` from bytes fresh from the system's random generator, with the tag of these keys' tenant.
    #[must_use]
    pub fn issue(keys: &TenantKeys, family: FamilyId, random: [u8; RANDOM_BYTES]) -> Self {
        let tag = keys.refresh_token_tag(&tagged(family, &random));
        let mut secret = Secret::new([0; RANDOM_BYTES + TAG_BYTES]);
        let (front, back) = secret.expose_mut().split_at_mut(RANDOM_BYTES);
        front.copy_from_slice(&random);
        back.iter_mut().zip(tag).for_each(|(to, from)| *to = from);
        Self { family, secret }
    }

    /// Whether these keys' tenant once gave this token to somebody, whatever it is worth now. Constant time for each version
    /// of the keys.
    #[must_use]
    pub fn is_from(&self, keys: &TenantKeys) -> bool {
        let (random, tag) = self.secret.expose().split_at(RANDOM_BYTES);
        let matches = |made: [u8; 32]| made.split_at(TAG_BYTES).0.ct_eq(tag);
        let tagged = tagged(self.family, random);
        let tags = keys.refresh_token_tags(&tagged);
        tags.fold(Choice::from(0), |known, made| known | matches(made)).into()
    }

    /// The token as the client gets it.
    #[must_use]
    pub fn text(&self) -> Secret<String> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.expose()));
        Secret::new(format!("{FRONT}{}_{}", self.family.uuid().simple(), secret.as_str()))
    }

    /// `SHA-256("freehold/v1/refresh-token/" | family | secret)`. A plain hash is enough for 256 random bits.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let mut hash = Sha256::new_with_prefix(HASH_DOMAIN);
        hash.update(self.family.uuid().as_bytes());
        hash.update(self.secret.expose());
        TokenHash(hash.finalize().into())
    }
}

impl FromStr for RefreshToken {
    type Err = NotARefreshToken;

    fn from_str(text: &str) -> Result<Self, NotARefreshToken> {
        if text.len() != REFRESH_TOKEN_CHARS {
            return Err(NotARefreshToken);
        }
        let (family, secret) =
            text.strip_prefix(FRONT).and_then(|rest| rest.split_once('_')).ok_or(NotARefreshToken)?;
        let id = Uuid::try_parse(family).map_err(|_| NotARefreshToken)?;
        // Refuses what is not the alphabet, padding, and left-over bits: one text for each secret.
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.decode(secret).map_err(|_| NotARefreshToken)?);
        let secret = secret.as_slice().try_into().map_err(|_| NotARefreshToken)?;
        // Hyphens and capitals also parse: only the form we print is ours.
        if id.simple().to_string() != family {
            return Err(NotARefreshToken);
        }
        Ok(Self { family: FamilyId::from_uuid(id), secret: Secret::new(secret) })
    }
}

/// What a tag is over, of fixed length.
fn tagged(family: FamilyId, random: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([family.as_bytes().as_slice(), random].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::tests::{keys, keys_of_versions};

    fn token(family: [u8; 16], secret: [u8; 42]) -> RefreshToken {
        RefreshToken { family: FamilyId::from_uuid(Uuid::from_bytes(family)), secret: Secret::new(secret) }
    }

    #[test]
    fn the_text_is_fixed() {
        let text = token([0xAB; 16], [0; 42]).text();
        assert_eq!(text.expose(), &format!("fhr_{}_{}", "ab".repeat(16), "A".repeat(56)));
        assert_eq!(text.expose().len(), REFRESH_TOKEN_CHARS);
    }

    #[test]
    fn no_other_text_is_the_same_token() {
        let token = token([0xAB; 16], [0xFB; 42]);
        let text = token.text().expose().clone();
        assert_eq!(text.parse(), Ok(token));
        let others = [
            text.to_uppercase(),
            text.replace("abab", "ABAB"),
            text.replace("fhr_", "fhr-"),
            text.replace('-', "+"),
            text.replace('_', "/"),
            format!("{text}="),
            format!(" {text}"),
            format!("{text}\n"),
            text[..text.len() - 1].to_owned(),
            format!("fhr_{}_{}", Uuid::from_bytes([0xAB; 16]), "A".repeat(52)),
            format!("fhr_{}_{}", "é".repeat(16), "A".repeat(56)),
            String::new(),
        ];
        for other in others {
            assert_eq!(other.parse::<RefreshToken>(), Err(NotARefreshToken), "{other}");
        }
    }

    #[test]
    fn a_tenant_knows_what_it_gave_and_nothing_else() {
        let (mine, other) = (keys(1, &[1]), keys(2, &[1]));
        let (family, sibling) = (FamilyId::from_uuid(Uuid::from_bytes([3; 16])), FamilyId::from_uuid(Uuid::nil()));
        let issued = RefreshToken::issue(&mine, family, [7; RANDOM_BYTES]);
        assert!(issued.is_from(&mine));
        assert!(!issued.is_from(&other));
        assert!(issued.text().expose().parse::<RefreshToken>().unwrap().is_from(&mine));
        assert!(!RefreshToken { family: sibling, ..issued.clone() }.is_from(&mine));
        for bit in 0..(RANDOM_BYTES + TAG_BYTES) * 8 {
            let mut changed = issued.clone();
            changed.secret.expose_mut()[bit / 8] ^= 1 << (bit % 8);
            assert!(!changed.is_from(&mine), "bit {bit}");
        }
        let again = RefreshToken::issue(&mine, family, [8; RANDOM_BYTES]);
        assert_ne!(again.hash(), issued.hash());
    }

    #[test]
    fn what_was_given_under_an_older_root_key_is_known() {
        let (old, new) = (keys_of_versions(1, 1), keys_of_versions(1, 2));
        let family = FamilyId::from_uuid(Uuid::from_bytes([3; 16]));
        assert!(RefreshToken::issue(&old, family, [7; RANDOM_BYTES]).is_from(&new));
        assert!(!RefreshToken::issue(&new, family, [7; RANDOM_BYTES]).is_from(&old));
    }

    #[test]
    fn the_hash_binds_family_and_secret() {
        let hash = token([1; 16], [2; 42]).hash();
        assert_eq!(hash, token([1; 16], [2; 42]).hash());
        assert_ne!(hash, token([3; 16], [2; 42]).hash());
        assert_ne!(hash, token([1; 16], [3; 42]).hash());
        let mut input = b"freehold/v1/refresh-token/".to_vec();
        input.extend([1; 16]);
        input.extend([2; 42]);
        assert_eq!(hash.bytes().as_slice(), Sha256::digest(&input).as_slice());
    }

    proptest! {
        #[test]
        fn every_token_survives_its_text(family in any::<[u8; 16]>(), secret in prop::array::uniform32(any::<u8>()), tag in any::<[u8; 10]>()) {
            let mut whole = [0; 42];
            whole[..32].copy_from_slice(&secret);
            whole[32..].copy_from_slice(&tag);
            let token = token(family, whole);
            prop_assert_eq!(token.text().expose().parse(), Ok(token));
        }
    }
}
