//! The three algorithms under everything in [`keys`](crate::keys): AES-256-GCM, HMAC-SHA256, HKDF-SHA256.
//!
//! Sources: NIST SP 800-38D (GCM), RFC 2104 (HMAC), RFC 5869 (HKDF). The published vectors run through these
//! functions in the tests.

use std::fmt;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, Key, KeyInit};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::CryptoError;
use crate::secret::Secret;

/// Bytes of a GCM nonce.
pub(super) const NONCE_BYTES: usize = 12;
/// Bytes of a GCM tag.
pub(super) const TAG_BYTES: usize = 16;
/// Longest plaintext that is sealed as one value, in bytes.
pub(super) const PLAINTEXT_BYTES_MAX: usize = 1 << 20;

/// Twelve fresh random bytes for one seal. Sealing consumes it, so that it cannot serve twice by accident.
///
/// Random 96-bit nonces allow 2^32 seals under one key (NIST SP 800-38D §8.3); each tenant has its own keys.
pub struct Nonce([u8; NONCE_BYTES]);

impl Nonce {
    /// Takes twelve bytes fresh from the system's random generator.
    #[must_use]
    pub const fn from_random(bytes: [u8; NONCE_BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce")
    }
}

/// `front`, the nonce, the ciphertext and its tag in one buffer. `associated` is authenticated and not stored.
///
/// # Errors
/// [`CryptoError`] for a plaintext over [`PLAINTEXT_BYTES_MAX`].
#[expect(clippy::needless_pass_by_value, reason = "a nonce is spent by its one use")]
pub(super) fn aead_seal(
    key: &[u8; 32],
    nonce: Nonce,
    associated: &[u8],
    front: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    if plaintext.len() > PLAINTEXT_BYTES_MAX {
        return Err(CryptoError);
    }
    let clear = front.len() + NONCE_BYTES;
    let mut sealed = Vec::with_capacity(clear + plaintext.len() + TAG_BYTES);
    sealed.extend_from_slice(front);
    sealed.extend_from_slice(&nonce.0);
    sealed.extend_from_slice(plaintext);
    let (_, text) = sealed.split_at_mut(clear);
    let tag = Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
        .encrypt_inout_detached(&nonce.0.into(), associated, text.into())
        .map_err(|_| CryptoError)?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// The plaintext of what [`aead_seal`] wrote after its `front`.
///
/// # Errors
/// [`CryptoError`] when any bit of key, nonce, ciphertext, tag or `associated` differs.
pub(super) fn aead_open(key: &[u8; 32], associated: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, CryptoError> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(CryptoError)?;
    let (text, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(CryptoError)?;
    let mut plaintext = text.to_vec();
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
        .decrypt_inout_detached(&(*nonce).into(), associated, plaintext.as_mut_slice().into(), &(*tag).into())
        .map_err(|_| CryptoError)?;
    Ok(Secret::new(plaintext))
}

/// HMAC-SHA256 of the concatenated `parts`. The caller makes the concatenation unambiguous.
pub(super) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // RFC 2104 §2: a key longer than a block is hashed, a shorter one filled with zeros. The fixed-size
    // constructor cannot fail.
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block.iter_mut().zip(Sha256::digest(key)).for_each(|(slot, byte)| *slot = byte);
    } else {
        block.iter_mut().zip(key).for_each(|(slot, byte)| *slot = *byte);
    }
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    block.zeroize();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Fills `output` by HKDF-SHA256 (RFC 5869: extract, then expand). Without `salt`, 32 zero bytes are the salt.
///
/// # Errors
/// [`CryptoError`] for an `output` over 8,160 bytes (255 blocks).
pub(super) fn hkdf_sha256(
    secret: &[u8],
    salt: Option<&[u8]>,
    info: &[&[u8]],
    output: &mut [u8],
) -> Result<(), CryptoError> {
    Hkdf::<Sha256>::new(salt, secret).expand_multi_info(info, output).map_err(|_| CryptoError)
}

#[cfg(test)]
mod tests;
