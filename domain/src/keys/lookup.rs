//! Keyed look-up: finds a sealed value without storing anything that tells it.

use std::fmt;

use subtle::ConstantTimeEq;

use super::primitives::hmac_sha256;
use super::root::DerivedKey;

/// `HMAC-SHA256(tenant's key, normalised value)`: equal values of one tenant have equal keys, and without the
/// tenant's key no value can be tried against it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupKey([u8; 32]);

impl LookupKey {
    /// The key as it was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes for the column.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn of(key: &DerivedKey, normalised: &[u8]) -> Self {
        Self(hmac_sha256(key.bytes(), &[normalised]))
    }

    /// Compares with a tag from outside in constant time.
    pub(super) fn matches(&self, tag: &[u8]) -> bool {
        self.0.ct_eq(tag).into()
    }
}

impl fmt::Debug for LookupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LookupKey")
    }
}
