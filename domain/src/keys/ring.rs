//! The master ring: the keys that open everything, given to the server at start and stored nowhere by it.
//!
//! `id:key[,id:key]`, newest first. The newest seals; the others open what they sealed until it is sealed anew.
//! Sealed by a master key: `format (1 byte, 1) | nonce (12) | ciphertext | tag (16)`, AES-256-GCM; the associated
//! data bind the master key's id and what it is: the check value, the root key of one tenant and version, or a secret of
//! the server's own.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::CryptoError;
use super::primitives::{Nonce, aead_open, aead_seal};
use super::root::{DOMAIN, KeyVersion, RootKey};
use crate::id::TenantId;
use crate::secret::Secret;

const FORMAT: u8 = 1;
const CHECK_VALUE: &[u8] = b"this store belongs to this master ring";
const ID_CHARS_MAX: usize = 32;

/// The name of a master key: 1 to 32 of `a-z`, `0-9` and `-`. Not a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MasterKeyId(String);

/// The text names no master key.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be 1 to 32 of a-z, 0-9 and -")]
pub struct NotAMasterKeyId;

/// The text is no master ring. Entries are counted from 1; nothing that might be a key is repeated.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RingError {
    /// There is no text.
    #[error("is empty")]
    Empty,
    /// An entry has no colon, or more than one.
    #[error("entry {0} is not id:key")]
    Shape(usize),
    /// An entry's id has other characters or the wrong length.
    #[error("the id of entry {0} must be 1 to 32 of a-z, 0-9 and -")]
    Id(usize),
    /// A key is not standard base64 with its padding.
    #[error("the key of {0} is not standard base64")]
    Base64(MasterKeyId),
    /// A key has the wrong length.
    #[error("the key of {id} has {bytes} bytes instead of 32")]
    KeyBytes {
        /// Whose key.
        id: MasterKeyId,
        /// Bytes that were given.
        bytes: usize,
    },
    /// An id stands there twice.
    #[error("the id {0} is given twice")]
    DuplicateId(MasterKeyId),
    /// Two ids have the same key.
    #[error("{0} and {1} have the same key")]
    DuplicateKey(MasterKeyId, MasterKeyId),
}

/// Something sealed by a master key does not open.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MasterError {
    /// The ring has no key of that name: an old key was dropped too early, or the ring is another store's.
    #[error("the master ring has no key {0}")]
    UnknownKey(MasterKeyId),
    /// The ring's key of that name does not open it: the key is another one, or the stored bytes were changed.
    #[error("master key {0} does not open it")]
    DoesNotOpen(MasterKeyId),
}

/// What the server keeps for itself, and which one it is: none opens in the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSecret<'a> {
    /// The account at the certificate authority with this directory.
    AcmeAccount {
        /// Its address.
        directory: &'a str,
    },
    /// The private key of the certificate of this host.
    CertificateKey {
        /// The host.
        host: &'a str,
    },
}

impl ServerSecret<'_> {
    /// No context is the beginning of another's but for the name at its end.
    fn context(self) -> Vec<u8> {
        match self {
            Self::AcmeAccount { directory } => [b"acme-account/", directory.as_bytes()].concat(),
            Self::CertificateKey { host } => [b"certificate-key/", host.as_bytes()].concat(),
        }
    }
}

/// The master keys, newest first; never empty.
#[derive(Clone, Debug)]
pub struct MasterRing {
    newest: MasterKey,
    older: Vec<MasterKey>,
}

#[derive(Clone, Debug)]
struct MasterKey {
    id: MasterKeyId,
    key: Secret<[u8; 32]>,
}

impl MasterRing {
    /// One entry of a ring, from 32 bytes fresh from the system's random generator: what `freehold keys new` prints.
    #[must_use]
    pub fn generate_entry(id: &MasterKeyId, random: &Secret<[u8; 32]>) -> Secret<String> {
        let key = Zeroizing::new(STANDARD.encode(random.expose()));
        Secret::new(format!("{id}:{}", key.as_str()))
    }

    /// The id of the key that seals. What another one sealed should be sealed anew.
    #[must_use]
    pub const fn newest(&self) -> &MasterKeyId {
        &self.newest.id
    }

    /// The ids of all keys, newest first.
    pub fn ids(&self) -> impl Iterator<Item = &MasterKeyId> {
        self.keys().map(|key| &key.id)
    }

    /// Seals a tenant's root key with the newest master key.
    ///
    /// # Errors
    /// [`CryptoError`] never happens at this length; it is passed on instead of trusted.
    pub fn seal_root(
        &self,
        tenant: TenantId,
        root: &RootKey,
        nonce: Nonce,
    ) -> Result<(MasterKeyId, Vec<u8>), CryptoError> {
        self.seal(&root_context(tenant, root.version()), root.bytes(), nonce)
    }

    /// Opens the root key of this tenant and version, sealed by the master key `id`.
    ///
    /// # Errors
    /// [`MasterError`], apart for an id that the ring does not have.
    pub fn open_root(
        &self,
        tenant: TenantId,
        version: KeyVersion,
        id: &MasterKeyId,
        sealed: &[u8],
    ) -> Result<RootKey, MasterError> {
        let key = self.open(id, &root_context(tenant, version), sealed)?;
        let key = key.expose().as_slice().try_into().map_err(|_| MasterError::DoesNotOpen(id.clone()))?;
        Ok(RootKey::from_random(version, key))
    }

    /// Seals a secret of the server's own with the newest master key.
    ///
    /// # Errors
    /// [`CryptoError`] when it is over 1 MiB.
    pub fn seal_own(
        &self,
        which: ServerSecret<'_>,
        secret: &Secret<Vec<u8>>,
        nonce: Nonce,
    ) -> Result<(MasterKeyId, Vec<u8>), CryptoError> {
        self.seal(&which.context(), secret.expose(), nonce)
    }

    /// Opens what was sealed as `which` by the master key `id`.
    ///
    /// # Errors
    /// [`MasterError`], apart for an id that the ring does not have.
    pub fn open_own(
        &self,
        which: ServerSecret<'_>,
        id: &MasterKeyId,
        sealed: &[u8],
    ) -> Result<Secret<Vec<u8>>, MasterError> {
        self.open(id, &which.context(), sealed)
    }

    /// A value for the store to keep, by which [`verify_check`](Self::verify_check) later knows this ring.
    ///
    /// # Errors
    /// [`CryptoError`] never happens at this length; it is passed on instead of trusted.
    pub fn seal_check(&self, nonce: Nonce) -> Result<(MasterKeyId, Vec<u8>), CryptoError> {
        self.seal(b"check", CHECK_VALUE, nonce)
    }

    /// Whether the store's check value was sealed by a key of this ring.
    ///
    /// # Errors
    /// [`MasterError`], apart for an id that the ring does not have.
    pub fn verify_check(&self, id: &MasterKeyId, sealed: &[u8]) -> Result<(), MasterError> {
        let value = self.open(id, b"check", sealed)?;
        if value.expose() == CHECK_VALUE { Ok(()) } else { Err(MasterError::DoesNotOpen(id.clone())) }
    }

    fn keys(&self) -> impl Iterator<Item = &MasterKey> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    fn seal(&self, context: &[u8], plaintext: &[u8], nonce: Nonce) -> Result<(MasterKeyId, Vec<u8>), CryptoError> {
        let MasterKey { id, key } = &self.newest;
        let sealed = aead_seal(key.expose(), nonce, &associated(id, context), &[FORMAT], plaintext)?;
        Ok((id.clone(), sealed))
    }

    fn open(&self, id: &MasterKeyId, context: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, MasterError> {
        let key = self.keys().find(|key| key.id == *id).ok_or_else(|| MasterError::UnknownKey(id.clone()))?;
        let opened = match sealed.split_first() {
            Some((&FORMAT, rest)) => aead_open(key.key.expose(), &associated(id, context), rest),
            _ => Err(CryptoError),
        };
        opened.map_err(|_| MasterError::DoesNotOpen(id.clone()))
    }
}

impl FromStr for MasterRing {
    type Err = RingError;

    /// Strict: no white space anywhere, no empty entry. A file's last newline is for the reader to take off.
    fn from_str(text: &str) -> Result<Self, RingError> {
        if text.is_empty() {
            return Err(RingError::Empty);
        }
        let mut keys: Vec<MasterKey> = Vec::new();
        for (entry, position) in text.split(',').zip(1..) {
            let new = parse_entry(entry, position)?;
            if keys.iter().any(|old| old.id == new.id) {
                return Err(RingError::DuplicateId(new.id));
            }
            if let Some(old) = keys.iter().find(|old| old.key == new.key) {
                return Err(RingError::DuplicateKey(old.id.clone(), new.id));
            }
            keys.push(new);
        }
        let mut keys = keys.into_iter();
        let newest = keys.next().ok_or(RingError::Empty)?;
        Ok(Self { newest, older: keys.collect() })
    }
}

fn parse_entry(entry: &str, position: usize) -> Result<MasterKey, RingError> {
    let (id, key) = entry.split_once(':').ok_or(RingError::Shape(position))?;
    if key.contains(':') {
        return Err(RingError::Shape(position));
    }
    let id: MasterKeyId = id.parse().map_err(|_| RingError::Id(position))?;
    let bytes = Zeroizing::new(STANDARD.decode(key).map_err(|_| RingError::Base64(id.clone()))?);
    match bytes.as_slice().try_into() {
        Ok(key) => Ok(MasterKey { id, key: Secret::new(key) }),
        Err(_) => Err(RingError::KeyBytes { id, bytes: bytes.len() }),
    }
}

fn root_context(tenant: TenantId, version: KeyVersion) -> Vec<u8> {
    [b"root".as_slice(), tenant.uuid().as_bytes(), &version.get().to_be_bytes()].concat()
}

/// The id cannot contain `/`, so the boundary between it and the context is unambiguous.
fn associated(id: &MasterKeyId, context: &[u8]) -> Vec<u8> {
    [DOMAIN, b"master/", id.0.as_bytes(), b"/", context].concat()
}

impl MasterKeyId {
    /// The name as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MasterKeyId {
    type Err = NotAMasterKeyId;

    fn from_str(text: &str) -> Result<Self, NotAMasterKeyId> {
        let fits = (1..=ID_CHARS_MAX).contains(&text.len());
        let plain = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if fits && plain { Ok(Self(text.to_owned())) } else { Err(NotAMasterKeyId) }
    }
}

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
