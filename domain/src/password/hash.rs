//! Hashes of passwords: Argon2id (RFC 9106) in PHC text, and those that were imported from another system.

use std::fmt;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::imported::Imported;
use super::{HashMemory, Password};
use crate::secret::Secret;

const OUTPUT_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// Most memory that a stored hash may ask for: 1 GiB.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 32;
const LANES_MAX: u32 = 16;

/// What one hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A hash with its salt and parameters. `Debug` hides it.
#[derive(Clone)]
pub struct PasswordHash(Kind);

#[derive(Clone)]
enum Kind {
    Argon2id(Argon2id),
    Imported(Imported),
}

#[derive(Clone)]
struct Argon2id {
    params: Argon2Params,
    salt: Vec<u8>,
    output: Secret<Vec<u8>>,
}

/// The text or the parameters are not those of a hash that we verify.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAPasswordHash {
    /// It is not text with salt and hash.
    #[error("not a password hash that can be read")]
    Text,
    /// It is of no kind that is verified.
    #[error("not argon2id of version 19, bcrypt, scrypt or PBKDF2 with SHA-256 or SHA-512")]
    Algorithm,
    /// The cost is outside what the algorithm and this server allow.
    #[error("the cost is out of bounds")]
    Params,
    /// The salt has fewer than 8 bytes, or the hash fewer than 16 or not as many as it says.
    #[error("salt or hash is of the wrong length")]
    Length,
}

/// A password could not be hashed.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HashError {
    /// There is not enough memory.
    #[error("not enough memory to hash a password")]
    Memory,
    /// The library refused; parsed values cannot cause it.
    #[error("argon2 refused its input")]
    Argon2,
}

impl Argon2Params {
    /// Memory in KiB (8 for each lane up to 1 GiB), passes over it (1 to 32), lanes (1 to 16).
    ///
    /// # Errors
    /// [`NotAPasswordHash::Params`] outside these bounds.
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, NotAPasswordHash> {
        let bounded = passes >= 1
            && passes <= PASSES_MAX
            && lanes >= 1
            && lanes <= LANES_MAX
            && memory_kib >= 8 * lanes
            && memory_kib <= MEMORY_KIB_MAX;
        if bounded { Ok(Self { memory_kib, passes, lanes }) } else { Err(NotAPasswordHash::Params) }
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes.
    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.lanes
    }

    pub(super) fn library(self, output_bytes: usize) -> Result<Params, HashError> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(output_bytes)).map_err(|_| HashError::Argon2)
    }
}

impl Default for Argon2Params {
    /// OWASP's minimum: 19 MiB, 2 passes, 1 lane.
    fn default() -> Self {
        Self { memory_kib: 19_456, passes: 2, lanes: 1 }
    }
}

/// Hashes a new password with 16 bytes of salt fresh from the system's random generator.
///
/// # Errors
/// [`HashError`] when there is not enough memory.
pub fn hash(
    password: &Password,
    salt: [u8; SALT_BYTES],
    params: Argon2Params,
    memory: &mut HashMemory,
) -> Result<PasswordHash, HashError> {
    let mut output = Secret::new(vec![0; OUTPUT_BYTES]);
    fill(password, &salt, params, memory, output.expose_mut())?;
    Ok(PasswordHash(Kind::Argon2id(Argon2id { params, salt: salt.to_vec(), output })))
}

/// Whether `password` is the one that was hashed. Takes the hash's own parameters, always does the whole work, and
/// compares in constant time.
///
/// # Errors
/// [`HashError`] when there is not enough memory: nothing is known about the password then.
pub fn verify(password: &Password, hash: &PasswordHash, memory: &mut HashMemory) -> Result<bool, HashError> {
    let hash = match &hash.0 {
        Kind::Argon2id(hash) => hash,
        Kind::Imported(hash) => return Ok(hash.verify(password)),
    };
    let expected = hash.output.expose();
    let mut output = Zeroizing::new(vec![0; expected.len()]);
    fill(password, &hash.salt, hash.params, memory, &mut output)?;
    Ok(output.as_slice().ct_eq(expected).into())
}

fn fill(
    password: &Password,
    salt: &[u8],
    params: Argon2Params,
    memory: &mut HashMemory,
    output: &mut [u8],
) -> Result<(), HashError> {
    let params = params.library(output.len())?;
    let blocks = memory.blocks(params.block_count())?;
    let password = password.expose().expose().as_bytes();
    let outcome = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, output, blocks)
        .map_err(|_| HashError::Argon2);
    memory.settle();
    outcome
}

impl PasswordHash {
    /// A stored hash.
    ///
    /// # Errors
    /// [`NotAPasswordHash`] when it is no such text, of another kind, keyed, or out of bounds.
    pub fn parse(text: &str) -> Result<Self, NotAPasswordHash> {
        if let Some(imported) = Imported::parse(text) {
            return imported.map(|hash| Self(Kind::Imported(hash)));
        }
        let hash = phc::PasswordHash::new(text).map_err(|_| NotAPasswordHash::Text)?;
        if hash.algorithm.as_str() != Algorithm::Argon2id.as_str() || hash.version != Some(Version::V0x13.into()) {
            return Err(NotAPasswordHash::Algorithm);
        }
        let params = Params::try_from(&hash.params).map_err(|_| NotAPasswordHash::Params)?;
        if !params.keyid().is_empty() || !params.data().is_empty() {
            return Err(NotAPasswordHash::Params);
        }
        let params = Argon2Params::new(params.m_cost(), params.t_cost(), params.p_cost())?;
        let (Some(salt), Some(output)) = (hash.salt, hash.hash) else { return Err(NotAPasswordHash::Text) };
        let (salt, output) = (salt.to_vec(), Secret::new(output.as_bytes().to_vec()));
        if salt.len() < 8 || output.expose().len() < 16 {
            return Err(NotAPasswordHash::Length);
        }
        Ok(Self(Kind::Argon2id(Argon2id { params, salt, output })))
    }

    /// What stands in for the hash of an account that does not exist, so that a sign-in does the same work: no
    /// password is known to match it, and its answer is not to be believed anyway.
    #[must_use]
    pub fn decoy(params: Argon2Params, salt: [u8; SALT_BYTES]) -> Self {
        Self(Kind::Argon2id(Argon2id { params, salt: salt.to_vec(), output: Secret::new(vec![0; OUTPUT_BYTES]) }))
    }

    /// The text for the store.
    #[must_use]
    pub fn text(&self) -> Secret<String> {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD_NO_PAD;
        let hash = match &self.0 {
            Kind::Argon2id(hash) => hash,
            Kind::Imported(hash) => return hash.text(),
        };
        let Argon2Params { memory_kib, passes, lanes } = hash.params;
        let salt = STANDARD_NO_PAD.encode(&hash.salt);
        let output = Zeroizing::new(STANDARD_NO_PAD.encode(hash.output.expose()));
        let output = output.as_str();
        Secret::new(format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${output}"))
    }

    /// Whether the next right password should be hashed anew: the hash was made with other parameters or sizes, or by
    /// another system.
    #[must_use]
    pub fn needs_rehash(&self, params: Argon2Params) -> bool {
        match &self.0 {
            Kind::Argon2id(hash) => {
                hash.params != params || hash.salt.len() < SALT_BYTES || hash.output.expose().len() != OUTPUT_BYTES
            }
            Kind::Imported(_) => true,
        }
    }

    /// Whether the hash was made from every byte of a right `password`: only then can another be made from it.
    #[must_use]
    pub fn covers(&self, password: &Password) -> bool {
        match &self.0 {
            Kind::Argon2id(_) => true,
            Kind::Imported(hash) => hash.covers(password),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password hash]")
    }
}
