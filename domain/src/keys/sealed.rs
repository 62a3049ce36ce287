//! Sealed values: what a column holds instead of a secret or a personal field.
//!
//! ```text
//! format (1 byte, 1) | key version (4, big endian) | nonce (12) | ciphertext | tag (16)
//! associated data: "freehold/v1/" | the first 5 bytes | tenant | table | column | row, each part after its length
//! ```
//!
//! AES-256-GCM (NIST SP 800-38D). A value moved to another row, column, table or tenant does not open.

use std::fmt;
use std::marker::PhantomData;

use super::CryptoError;
use super::primitives::{NONCE_BYTES, Nonce, TAG_BYTES, aead_open, aead_seal};
use super::root::{DOMAIN, DerivedKey, KeyVersion};
use crate::email::Email;
use crate::id::TenantId;
use crate::secret::Secret;
use crate::text::OneLine;

const FORMAT: u8 = 1;
const FRONT_BYTES: usize = 5;

/// Where a sealed value lives within its tenant. The tenant itself is added by the keys that seal.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The table's name.
    pub table: &'static str,
    /// The column's name.
    pub column: &'static str,
    /// The row's key: the bytes of its id, or of its parts in order when all but the last have a fixed size.
    pub row: &'a [u8],
}

/// What can be sealed: a value with one plaintext form.
pub trait Sealable: Sized {
    /// The plaintext, at most 1 MiB.
    fn to_plaintext(&self) -> Secret<Vec<u8>>;

    /// The value with this plaintext. `None` when it is not one.
    fn from_plaintext(plaintext: &[u8]) -> Option<Self>;
}

/// A sealed `T`. There is no way from a plaintext to this type but a seal, and none back but an open.
pub struct Sealed<T> {
    bytes: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

/// The column holds something that was never sealed.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a sealed value")]
pub struct NotSealed;

impl<T> Sealed<T> {
    /// The sealed value that a column holds.
    ///
    /// # Errors
    /// [`NotSealed`] when the bytes are too short or of another format. Whether they open is seen when opened.
    pub fn from_stored(bytes: Vec<u8>) -> Result<Self, NotSealed> {
        let long_enough = bytes.len() >= FRONT_BYTES + NONCE_BYTES + TAG_BYTES;
        if long_enough && bytes.first() == Some(&FORMAT) { Ok(Self { bytes, of: PhantomData }) } else { Err(NotSealed) }
    }

    /// The bytes for the column: 33 more than the plaintext.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes for the column, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The version of the root key it is sealed under.
    #[must_use]
    pub fn key_version(&self) -> KeyVersion {
        let version = self.bytes.get(1..FRONT_BYTES).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        KeyVersion::new(version.unwrap_or(0))
    }
}

impl<T: Sealable> Sealed<T> {
    pub(super) fn seal(
        (version, key): (KeyVersion, &DerivedKey),
        tenant: TenantId,
        place: &Place<'_>,
        value: &T,
        nonce: Nonce,
    ) -> Result<Self, CryptoError> {
        let front = front(version);
        let associated = associated(front, tenant, place);
        let bytes = aead_seal(key.bytes(), nonce, &associated, &front, value.to_plaintext().expose())?;
        Ok(Self { bytes, of: PhantomData })
    }

    pub(super) fn open(&self, key: &DerivedKey, tenant: TenantId, place: &Place<'_>) -> Result<T, CryptoError> {
        let (front, sealed) = self.bytes.split_first_chunk::<FRONT_BYTES>().ok_or(CryptoError)?;
        let plaintext = aead_open(key.bytes(), &associated(*front, tenant, place), sealed)?;
        T::from_plaintext(plaintext.expose()).ok_or(CryptoError)
    }
}

const fn front(version: KeyVersion) -> [u8; FRONT_BYTES] {
    let [a, b, c, d] = version.get().to_be_bytes();
    [FORMAT, a, b, c, d]
}

fn associated(front: [u8; FRONT_BYTES], tenant: TenantId, place: &Place<'_>) -> Vec<u8> {
    let tenant = tenant.uuid();
    let parts = [tenant.as_bytes().as_slice(), place.table.as_bytes(), place.column.as_bytes(), place.row];
    let mut data = Vec::with_capacity(128);
    data.extend_from_slice(DOMAIN);
    data.extend_from_slice(&front);
    for part in parts {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), of: PhantomData }
    }
}

impl<T> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Sealed<T> {}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealed]")
    }
}

impl Sealable for Secret<Vec<u8>> {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        self.clone()
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        Some(Self::new(plaintext.to_vec()))
    }
}

impl Sealable for Secret<String> {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        Secret::new(self.expose().clone().into_bytes())
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        std::str::from_utf8(plaintext).ok().map(|text| Self::new(text.to_owned()))
    }
}

impl<const N: usize> Sealable for Secret<[u8; N]> {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        Secret::new(self.expose().to_vec())
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        plaintext.try_into().ok().map(Self::new)
    }
}

impl Sealable for Email {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        Secret::new(self.as_str().as_bytes().to_vec())
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        std::str::from_utf8(plaintext).ok()?.parse().ok()
    }
}

impl<const MAX: usize> Sealable for OneLine<MAX> {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        Secret::new(self.as_str().as_bytes().to_vec())
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        std::str::from_utf8(plaintext).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests;
