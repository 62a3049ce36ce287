//! The keys of the server and of its tenants, and what is done with them.
//!
//! ```text
//! master ring --AES-256-GCM--> ServerSecret: what the server keeps for itself, bound to what it is
//! master ring --AES-256-GCM--> root key of a tenant --HKDF-SHA256(purpose | tenant | version)--> key for one purpose
//!   Field          -> Sealed<T>: secrets and personal fields, bound to tenant, table, column and row
//!   Lookup         -> LookupKey: finds a sealed e-mail address
//!   LockoutAccount -> LookupKey: names an account's lockout row, known or not
//!   DeviceCookie   -> signs the cookie that keeps a device's failures apart
//!   Audit          -> chains the rows of the audit log
//!   SigningKey     -> seals the seeds of the tenant's Ed25519 keys
//! ```
//!
//! Nonces, seeds and keys are arguments: this crate has no random generator.

mod lookup;
mod primitives;
mod ring;
mod root;
mod sealed;
mod signing;
mod tenant;

pub use lookup::LookupKey;
pub use primitives::Nonce;
pub use ring::{MasterError, MasterKeyId, MasterRing, NotAMasterKeyId, RingError, ServerSecret};
pub use root::{DerivedKey, KeyVersion, Purpose, RootKey};
pub use sealed::{NotSealed, Place, Sealable, Sealed};
pub use signing::{Jwk, Jwks, SigningKey, VerifyingKey};
pub use tenant::{StoredSigningKey, TenantKeys, TenantKeysError};

/// A cryptographic operation did not succeed. It says no more than that, on purpose: a caller that could tell why
/// a value does not open could be asked about it.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("cryptographic operation failed")]
pub struct CryptoError;

#[cfg(test)]
pub(crate) use tenant::tests;
