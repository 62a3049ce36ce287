//! The keys that an active tenant holds in memory: raw bytes, about 320 for a tenant that never rotated.

use std::time::Duration;

use super::CryptoError;
use super::lookup::LookupKey;
use super::primitives::{Nonce, hmac_sha256};
use super::root::{DerivedKey, KeyVersion, Purpose, RootKey};
use super::sealed::{Place, Sealable, Sealed};
use super::signing::{Jwks, SigningKey, VerifyingKey};
use crate::email::Email;
use crate::id::{MemberId, SigningKeyId, TenantId};
use crate::oauth::{Provider, Subject};
use crate::secret::Secret;
use crate::signing_rotation;
use crate::time::UnixMs;

/// A signing key as the store keeps it.
#[derive(Clone, Debug)]
pub struct StoredSigningKey {
    /// Its `kid`.
    pub id: SigningKeyId,
    /// The sealed seed.
    pub seed: Sealed<Secret<[u8; 32]>>,
    /// When it was made.
    pub made: UnixMs,
    /// Until when it signs, if another follows it.
    pub signs_until: Option<UnixMs>,
}

/// A tenant's stored keys do not make a working set.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TenantKeysError {
    /// No root key was given.
    #[error("no root key")]
    NoRootKey,
    /// Two root keys have this version.
    #[error("root key version {0} is given twice")]
    DuplicateVersion(KeyVersion),
    /// No signing key was given that signs for good.
    #[error("no signing key")]
    NoSigningKey,
    /// The root key of this version, under which signing key `id` is sealed, was not given.
    #[error("signing key {id} needs root key version {version}")]
    MissingVersion {
        /// The signing key.
        id: SigningKeyId,
        /// The version it is sealed under.
        version: KeyVersion,
    },
    /// This signing key does not open.
    #[error("signing key {0} does not open")]
    SigningKey(SigningKeyId),
    /// A key could not be derived.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// All keys of one active tenant. Rotation makes a new value; the old one is dropped and wiped.
#[derive(Clone, Debug)]
pub struct TenantKeys {
    tenant: TenantId,
    newest: VersionKeys,
    older: Box<[VersionKeys]>,
    signing: Box<[SigningKey]>,
    ends: Box<[Option<UnixMs>]>,
    last_made: UnixMs,
}

#[derive(Clone, Debug)]
struct VersionKeys {
    version: KeyVersion,
    field: DerivedKey,
    lookup: DerivedKey,
    lockout: DerivedKey,
    device: DerivedKey,
    audit: DerivedKey,
    refresh: DerivedKey,
}

impl TenantKeys {
    /// Derives and opens a tenant's keys. The root of the highest version seals; the keys of `signing` stand in the order
    /// in which they sign, without those that were withdrawn.
    ///
    /// # Errors
    /// [`TenantKeysError`] when a root or signing key is missing, given twice or does not open.
    pub fn open(tenant: TenantId, roots: &[RootKey], signing: &[StoredSigningKey]) -> Result<Self, TenantKeysError> {
        let mut roots: Vec<&RootKey> = roots.iter().collect();
        roots.sort_by_key(|root| std::cmp::Reverse(root.version()));
        if let Some([twice, _]) = roots.array_windows().find(|[a, b]| a.version() == b.version()) {
            return Err(TenantKeysError::DuplicateVersion(twice.version()));
        }
        let mut versions = roots.iter().map(|root| VersionKeys::derive(root, tenant));
        let newest = versions.next().ok_or(TenantKeysError::NoRootKey)??;
        let older = versions.collect::<Result<_, _>>()?;

        let last = signing.last().filter(|last| last.signs_until.is_none());
        let last_made = last.ok_or(TenantKeysError::NoSigningKey)?.made;
        let ends = signing.iter().map(|stored| stored.signs_until).collect();
        let signing =
            signing.iter().map(|stored| open_signing_key(tenant, &roots, stored)).collect::<Result<_, _>>()?;
        Ok(Self { tenant, newest, older, signing, ends, last_made })
    }

    /// Whose keys these are.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The version that seals. What is sealed under an older one should be sealed anew.
    #[must_use]
    pub const fn version(&self) -> KeyVersion {
        self.newest.version
    }

    /// Seals `value` for `place` under the newest version.
    ///
    /// # Errors
    /// [`CryptoError`] when its plaintext is over 1 MiB.
    pub fn seal<T: Sealable>(&self, place: &Place<'_>, value: &T, nonce: Nonce) -> Result<Sealed<T>, CryptoError> {
        Sealed::seal((self.newest.version, &self.newest.field), self.tenant, place, value, nonce)
    }

    /// Opens what was sealed for `place` of this tenant, under whichever of its versions.
    ///
    /// # Errors
    /// [`CryptoError`] for anything else, whatever the reason.
    pub fn open_sealed<T: Sealable>(&self, place: &Place<'_>, sealed: &Sealed<T>) -> Result<T, CryptoError> {
        let version = sealed.key_version();
        let keys = self.versions().find(|keys| keys.version == version).ok_or(CryptoError)?;
        sealed.open(&keys.field, self.tenant, place)
    }

    /// The key under which a member's row is found by e-mail address, and written.
    #[must_use]
    pub fn email_key(&self, email: &Email) -> LookupKey {
        LookupKey::of(&self.newest.lookup, email.as_str().as_bytes())
    }

    /// [`email_key`](Self::email_key) under every version, newest first: while a rotation is not finished, a row may
    /// still stand under an older one.
    pub fn email_keys(&self, email: &Email) -> impl Iterator<Item = LookupKey> {
        self.versions().map(|keys| LookupKey::of(&keys.lookup, email.as_str().as_bytes()))
    }

    /// The key under which an identity's row is found, and written. No e-mail address has a NUL, so it cannot be the row of
    /// a member. The authority, such as the issuer, is part of it: another one's subjects are other people.
    #[must_use]
    pub fn identity_key(&self, provider: Provider, authority: &str, subject: &Subject) -> LookupKey {
        LookupKey::of(&self.newest.lookup, &identity(provider, authority, subject))
    }

    /// [`identity_key`](Self::identity_key) under every version, newest first.
    pub fn identity_keys(
        &self,
        provider: Provider,
        authority: &str,
        subject: &Subject,
    ) -> impl Iterator<Item = LookupKey> {
        let identity = identity(provider, authority, subject);
        self.versions().map(move |keys| LookupKey::of(&keys.lookup, &identity))
    }

    /// The key of an account's lockout row, the same whether or not the account exists.
    #[must_use]
    pub fn lockout_key(&self, email: &Email) -> LookupKey {
        LookupKey::of(&self.newest.lockout, email.as_str().as_bytes())
    }

    /// The key of the lockout row of one device for one account. No e-mail address has a NUL, so it cannot be
    /// the row of another account.
    #[must_use]
    pub(crate) fn device_lockout_key(&self, content: &[u8]) -> LookupKey {
        LookupKey::of(&self.newest.lockout, &[b"device\0", content].concat())
    }

    /// The key of the lockout row of a member's second factor. No e-mail address has a NUL, so it cannot be the row of
    /// an account.
    #[must_use]
    pub fn second_factor_lockout_key(&self, member: MemberId) -> LookupKey {
        LookupKey::of(&self.newest.lockout, &[b"second-factor\0".as_slice(), member.as_bytes()].concat())
    }

    /// The tag of a device cookie with this content. The content must be unambiguous by itself.
    #[must_use]
    pub fn device_cookie_tag(&self, content: &[u8]) -> [u8; 32] {
        *LookupKey::of(&self.newest.device, content).bytes()
    }

    /// Whether this tenant, under whichever of its versions, made `tag` for `content`. Constant time.
    #[must_use]
    pub fn verify_device_cookie(&self, content: &[u8], tag: &[u8]) -> bool {
        self.versions().any(|keys| LookupKey::of(&keys.device, content).matches(tag))
    }

    /// The tag of a refresh token with this content, which is of fixed length.
    #[must_use]
    pub(crate) fn refresh_token_tag(&self, content: &[u8]) -> [u8; 32] {
        hmac_sha256(self.newest.refresh.bytes(), &[content])
    }

    /// The tag under every version, newest first.
    pub(crate) fn refresh_token_tags(&self, content: &[u8]) -> impl Iterator<Item = [u8; 32]> {
        self.versions().map(move |keys| hmac_sha256(keys.refresh.bytes(), &[content]))
    }

    /// What a report of a browser is told by among a tenant's. No e-mail address has a NUL, so it is nobody's row.
    #[must_use]
    pub fn csp_report_key(&self, identity: &[u8]) -> LookupKey {
        LookupKey::of(&self.newest.lookup, &[b"csp-report\0".as_slice(), identity].concat())
    }

    /// What a client without a device cookie is told by among those of a member, newest version first. The member comes
    /// first, so it cannot be the tag of a cookie, which begins with random bytes and is never stored.
    pub fn client_keys(&self, member: MemberId, client: &str) -> impl Iterator<Item = LookupKey> {
        let content = [b"client\0".as_slice(), member.as_bytes(), client.as_bytes()].concat();
        self.versions().map(move |keys| LookupKey::of(&keys.device, &content))
    }

    /// The tag of the audit log for the concatenated `parts`, which the caller makes unambiguous, under the key of this
    /// version; `None` without it.
    #[must_use]
    pub(crate) fn audit_tag(&self, version: KeyVersion, parts: &[&[u8]]) -> Option<[u8; 32]> {
        let keys = self.versions().find(|keys| keys.version == version)?;
        Some(hmac_sha256(keys.audit.bytes(), parts))
    }

    /// The key that signs access tokens at `now`. `None` never happens: a set without one does not open.
    #[must_use]
    pub fn signing_key(&self, now: UnixMs) -> Option<&SigningKey> {
        self.signing.get(signing_rotation::signs(&self.ends, now))
    }

    /// The key with this `kid`, whether it signs, will sign or has signed. `None` for any other, withdrawn ones included.
    #[must_use]
    pub fn verifying_key(&self, id: SigningKeyId) -> Option<&VerifyingKey> {
        self.signing.iter().map(SigningKey::verifying_key).find(|key| key.id() == id)
    }

    /// The document at `/.well-known/jwks.json` at `now`: the key that signs first.
    #[must_use]
    pub fn jwks(&self, now: UnixMs) -> Jwks {
        let signing = self.signing_key(now).map(SigningKey::id);
        let published =
            self.signing.iter().zip(&self.ends).filter(|(_, end)| signing_rotation::is_published(**end, now));
        let mut keys: Vec<_> = published.map(|(key, _)| key.verifying_key().jwk()).collect();
        keys.sort_by_key(|key| Some(key.kid()) != signing);
        Jwks { keys }
    }

    /// Whether another signing key should follow the last one, after `period`.
    #[must_use]
    pub fn is_rotation_due(&self, now: UnixMs, period: Option<Duration>) -> bool {
        signing_rotation::is_due(&self.ends, self.last_made, now, period)
    }

    fn versions(&self) -> impl Iterator<Item = &VersionKeys> {
        std::iter::once(&self.newest).chain(&self.older)
    }
}

impl VersionKeys {
    fn derive(root: &RootKey, tenant: TenantId) -> Result<Self, CryptoError> {
        Ok(Self {
            version: root.version(),
            field: root.derive(Purpose::Field, tenant)?,
            lookup: root.derive(Purpose::Lookup, tenant)?,
            lockout: root.derive(Purpose::LockoutAccount, tenant)?,
            device: root.derive(Purpose::DeviceCookie, tenant)?,
            audit: root.derive(Purpose::Audit, tenant)?,
            refresh: root.derive(Purpose::RefreshToken, tenant)?,
        })
    }
}

fn identity(provider: Provider, authority: &str, subject: &Subject) -> Vec<u8> {
    ["identity", provider.as_str(), authority, subject.as_str()].join("\0").into_bytes()
}

fn open_signing_key(
    tenant: TenantId,
    roots: &[&RootKey],
    stored: &StoredSigningKey,
) -> Result<SigningKey, TenantKeysError> {
    let (id, version) = (stored.id, stored.seed.key_version());
    let root =
        roots.iter().find(|root| root.version() == version).ok_or(TenantKeysError::MissingVersion { id, version })?;
    SigningKey::open(root, tenant, id, &stored.seed).map_err(|_| TenantKeysError::SigningKey(id))
}

#[cfg(test)]
pub(crate) mod tests;
