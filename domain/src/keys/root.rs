//! A tenant's root key and the keys derived from it.
//!
//! `HKDF-SHA256(root, no salt, "freehold/v1/" | length of purpose | purpose | tenant | version)`: the length byte and
//! the fixed sizes of tenant (16) and version (4) make the text unambiguous. The root is uniformly random, so no
//! salt is needed (RFC 5869 §3.1).

use std::fmt;

use super::CryptoError;
use super::primitives::hkdf_sha256;
use crate::id::TenantId;
use crate::secret::Secret;

/// In front of everything derived or authenticated: domain separation, and the place to change it all.
pub(super) const DOMAIN: &[u8] = b"freehold/v1/";

/// Which generation of a tenant's root key. Stored in front of everything sealed under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyVersion(u32);

impl KeyVersion {
    /// The version of a new tenant's root key.
    pub const FIRST: Self = Self(1);

    /// The version stored as this number.
    #[must_use]
    pub const fn new(version: u32) -> Self {
        Self(version)
    }

    /// The number as it is stored.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The version after this one. `None` after the last.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a derived key is for. One purpose, one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// AES-256-GCM of secrets and personal fields.
    Field,
    /// HMAC of e-mail addresses, to find their members.
    Lookup,
    /// HMAC of e-mail addresses, to name lockout rows.
    LockoutAccount,
    /// AES-256-GCM of the seeds of signing keys.
    SigningKey,
    /// HMAC of device cookies.
    DeviceCookie,
    /// HMAC that chains the rows of the audit log.
    Audit,
    /// HMAC of refresh tokens.
    RefreshToken,
}

impl Purpose {
    const fn label(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Lookup => "lookup",
            Self::LockoutAccount => "lockout-account",
            Self::SigningKey => "signing-key",
            Self::DeviceCookie => "device-cookie",
            Self::Audit => "audit",
            Self::RefreshToken => "refresh-token",
        }
    }
}

/// A tenant's root key: 32 random bytes and their version.
#[derive(Clone, Debug)]
pub struct RootKey {
    version: KeyVersion,
    key: Secret<[u8; 32]>,
}

impl RootKey {
    /// A root key from 32 bytes fresh from the system's random generator.
    #[must_use]
    pub const fn from_random(version: KeyVersion, random: [u8; 32]) -> Self {
        Self { version, key: Secret::new(random) }
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> KeyVersion {
        self.version
    }

    /// The key of `tenant` for one purpose. Nothing about the root, another tenant's or another purpose's key
    /// follows from it.
    ///
    /// # Errors
    /// [`CryptoError`] never happens at this length; it is passed on instead of trusted.
    pub fn derive(&self, purpose: Purpose, tenant: TenantId) -> Result<DerivedKey, CryptoError> {
        let label = purpose.label();
        let length = u8::try_from(label.len()).map_err(|_| CryptoError)?;
        let (tenant, version) = (tenant.uuid(), self.version.0.to_be_bytes());
        let info: &[&[u8]] = &[DOMAIN, &[length], label.as_bytes(), tenant.as_bytes(), &version];
        let mut key = Secret::new([0; 32]);
        hkdf_sha256(self.key.expose(), None, info, key.expose_mut())?;
        Ok(DerivedKey(key))
    }

    pub(super) const fn bytes(&self) -> &[u8; 32] {
        self.key.expose()
    }
}

/// A key for one purpose of one tenant.
#[derive(Clone, Debug)]
pub struct DerivedKey(Secret<[u8; 32]>);

impl DerivedKey {
    pub(super) const fn bytes(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::time::UnixMs;

    const PURPOSES: [Purpose; 7] = [
        Purpose::Field,
        Purpose::Lookup,
        Purpose::LockoutAccount,
        Purpose::SigningKey,
        Purpose::DeviceCookie,
        Purpose::Audit,
        Purpose::RefreshToken,
    ];

    #[test]
    fn every_purpose_tenant_version_and_root_has_its_own_key() {
        let mut keys = BTreeSet::new();
        for (root, version, tenant) in [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2)] {
            let root = RootKey::from_random(KeyVersion::new(version), [root; 32]);
            for purpose in PURPOSES {
                let tenant = TenantId::new(UnixMs::new(1), [tenant; 10]);
                keys.insert(*root.derive(purpose, tenant).unwrap().bytes());
            }
        }
        assert_eq!(keys.len(), 4 * PURPOSES.len());
    }

    #[test]
    fn the_derivation_is_the_documented_one() {
        let tenant = TenantId::from_uuid(uuid::Uuid::from_bytes([0xAA; 16]));
        let mut info = b"freehold/v1/\x05field".to_vec();
        info.extend_from_slice(&[0xAA; 16]);
        info.extend_from_slice(&[0, 0, 0, 7]);
        let mut expected = [0; 32];
        hkdf_sha256(&[9; 32], None, &[&info], &mut expected).unwrap();

        let root = RootKey::from_random(KeyVersion::new(7), [9; 32]);
        assert_eq!(root.derive(Purpose::Field, tenant).unwrap().bytes(), &expected);
        assert_eq!(format!("{root:?}"), "RootKey { version: KeyVersion(7), key: [secret] }");
    }
}
