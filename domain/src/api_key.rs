//! API keys: `nd_live_…` for web pages, which everybody can read, and `nd_secret_…` for servers; then 70 characters of
//! base64url for `tenant, 16 bytes | random, 32 bytes | CRC-32, 4 bytes`.
//!
//! The tenant says where to look, the checksum that it was copied right: a typo is refused before anything is looked up.
//! It is no secret and proves nothing. Only a SHA-256 over kind, tenant and random bytes is stored; each key has exactly
//! one text.
//!
//! Source of the checksum: ISO/IEC 13239, the CRC-32 of Ethernet and zip. It finds every error within 32 bits in a row,
//! so every wrong character and every two neighbours in each other's place.

mod scope;
mod standing;

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use self::scope::{NotAScope, Scope, Scopes};
pub use self::standing::{KEYS_MAX, KnownKey, OVERLAP_MAX};
use crate::id::TenantId;
use crate::secret::Secret;
use crate::stored_hash::stored_hash;

/// Characters of a key that are shown in lists.
pub const LAST_CHARS: usize = 4;

const PAYLOAD_CHARS: usize = 70;
const HASH_DOMAIN: &[u8] = b"freehold/v1/api-key/";

/// Where a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// In web pages: everybody sees it, so it works from the pages of its allowed origins alone.
    Publishable,
    /// On servers: never in a browser.
    Secret,
}

/// The text names no kind of key.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be one of publishable, secret")]
pub struct NotAKeyKind;

impl KeyKind {
    const ALL: [Self; 2] = [Self::Publishable, Self::Secret];

    /// The name in rows and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publishable => "publishable",
            Self::Secret => "secret",
        }
    }

    /// What its keys begin with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Publishable => "nd_live_",
            Self::Secret => "nd_secret_",
        }
    }
}

impl FromStr for KeyKind {
    type Err = NotAKeyKind;

    fn from_str(text: &str) -> Result<Self, NotAKeyKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(NotAKeyKind)
    }
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Where it may be used.
    pub kind: KeyKind,
    /// Whose it is.
    pub tenant: TenantId,
    secret: Secret<[u8; 32]>,
}

stored_hash! {
    /// What the store keeps of a key. Compared in constant time; `Debug` hides it.
    KeyHash
}

/// The text is no API key.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be an API key")]
pub struct NotAnApiKey;

impl ApiKey {
    /// A new key from 32 bytes fresh from the system's random generator.
    #[must_use]
    pub const fn from_random(kind: KeyKind, tenant: TenantId, random: [u8; 32]) -> Self {
        Self { kind, tenant, secret: Secret::new(random) }
    }

    /// The key as its owner gets it, once.
    #[must_use]
    pub fn text(&self) -> Secret<String> {
        let mut payload = Zeroizing::new([0; 52]);
        let [tenant, secret, sum] = parts_mut(&mut payload);
        tenant.copy_from_slice(self.tenant.as_bytes());
        secret.copy_from_slice(self.secret.expose());
        sum.copy_from_slice(&checksum(self.kind, tenant, secret));
        let payload = Zeroizing::new(URL_SAFE_NO_PAD.encode(payload.as_slice()));
        Secret::new(format!("{}{}", self.kind.prefix(), payload.as_str()))
    }

    /// Its last characters, to be told from others by. They are of the checksum.
    #[must_use]
    pub fn last4(&self) -> String {
        let text = self.text();
        text.expose().get(text.expose().len() - LAST_CHARS..).unwrap_or_default().to_owned()
    }

    /// `SHA-256("freehold/v1/api-key/" | prefix | tenant | random)`. A plain hash is enough for 256 random bits.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        let mut hash = Sha256::new_with_prefix(HASH_DOMAIN);
        hash.update(self.kind.prefix());
        hash.update(self.tenant.as_bytes());
        hash.update(self.secret.expose());
        KeyHash(hash.finalize().into())
    }
}

impl FromStr for ApiKey {
    type Err = NotAnApiKey;

    fn from_str(text: &str) -> Result<Self, NotAnApiKey> {
        let kind = KeyKind::ALL.into_iter().find_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?)));
        let (kind, payload) = kind.filter(|(_, payload)| payload.len() == PAYLOAD_CHARS).ok_or(NotAnApiKey)?;
        // Refuses what is not the alphabet, padding, and left-over bits: one text for each key.
        let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).map_err(|_| NotAnApiKey)?);
        let mut payload: Zeroizing<[u8; 52]> = Zeroizing::new(payload.as_slice().try_into().map_err(|_| NotAnApiKey)?);
        let [tenant, secret, sum] = parts_mut(&mut payload);
        if checksum(kind, tenant, secret) != *sum {
            return Err(NotAnApiKey);
        }
        let tenant = Uuid::from_slice(tenant).map_err(|_| NotAnApiKey)?;
        let secret = (&*secret).try_into().map_err(|_| NotAnApiKey)?;
        Ok(Self::from_random(kind, TenantId::from_uuid(tenant), secret))
    }
}

/// Tenant, random bytes and checksum of a payload.
fn parts_mut(payload: &mut [u8; 52]) -> [&mut [u8]; 3] {
    let (tenant, rest) = payload.split_at_mut(16);
    let (secret, sum) = rest.split_at_mut(32);
    [tenant, secret, sum]
}

fn checksum(kind: KeyKind, tenant: &[u8], secret: &[u8]) -> [u8; 4] {
    crc32([kind.prefix().as_bytes(), tenant, secret]).to_le_bytes()
}

/// CRC-32/ISO-HDLC of the parts one after the other.
fn crc32<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    let bytes = parts.into_iter().flatten();
    !bytes.fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 })
    })
}

#[cfg(test)]
mod tests;
