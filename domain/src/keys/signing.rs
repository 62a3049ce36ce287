//! Ed25519 keys that sign a tenant's access tokens (RFC 8032, RFC 8037).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk as LibraryJwk};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde::Serialize;
use zeroize::Zeroizing;

use super::CryptoError;
use super::primitives::Nonce;
use super::root::{Purpose, RootKey};
use super::sealed::{Place, Sealed};
use crate::id::{SigningKeyId, TenantId};
use crate::secret::Secret;

/// PKCS#8 version 1 in front of an Ed25519 seed (RFC 8410 §7).
const PKCS8_FRONT: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A key that signs. Kept as its 32-byte seed; the library's key is built at each use.
#[derive(Clone, Debug)]
pub struct SigningKey {
    seed: Secret<[u8; 32]>,
    verifying: VerifyingKey,
}

/// The public half of a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    id: SigningKeyId,
    public: [u8; 32],
}

/// A public key as JWK (RFC 7517, RFC 8037 §2).
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    r#use: &'static str,
    alg: &'static str,
    kid: SigningKeyId,
    x: String,
}

/// The document at `/.well-known/jwks.json` (RFC 7517 §5).
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Jwks {
    /// Every key whose tokens are accepted, the one that signs first.
    pub keys: Vec<Jwk>,
}

impl SigningKey {
    /// The key pair of `seed`, 32 bytes fresh from the system's random generator.
    ///
    /// # Errors
    /// [`CryptoError`] when the library refuses the seed, which no 32 bytes are known to cause.
    pub fn from_seed(id: SigningKeyId, seed: Secret<[u8; 32]>) -> Result<Self, CryptoError> {
        let jwk = LibraryJwk::from_encoding_key(&encoding_key(&seed), Algorithm::EdDSA).map_err(|_| CryptoError)?;
        let AlgorithmParameters::OctetKeyPair(pair) = jwk.algorithm else { return Err(CryptoError) };
        let public = URL_SAFE_NO_PAD.decode(pair.x).map_err(|_| CryptoError)?;
        let public = public.try_into().map_err(|_| CryptoError)?;
        Ok(Self { seed, verifying: VerifyingKey { id, public } })
    }

    /// The seed sealed for the store, bound to tenant and `kid`.
    ///
    /// # Errors
    /// [`CryptoError`] never happens at this length; it is passed on instead of trusted.
    pub fn seal(
        &self,
        root: &RootKey,
        tenant: TenantId,
        nonce: Nonce,
    ) -> Result<Sealed<Secret<[u8; 32]>>, CryptoError> {
        let key = root.derive(Purpose::SigningKey, tenant)?;
        let id = self.verifying.id.uuid();
        Sealed::seal((root.version(), &key), tenant, &place(id.as_bytes()), &self.seed, nonce)
    }

    /// The key pair whose seed was sealed under `root`. The public half is computed anew, so that nobody who can
    /// only write to the store can put a key of theirs in its place.
    ///
    /// # Errors
    /// [`CryptoError`] when it does not open as this key of this tenant.
    pub fn open(
        root: &RootKey,
        tenant: TenantId,
        id: SigningKeyId,
        sealed: &Sealed<Secret<[u8; 32]>>,
    ) -> Result<Self, CryptoError> {
        let key = root.derive(Purpose::SigningKey, tenant)?;
        Self::from_seed(id, sealed.open(&key, tenant, &place(id.uuid().as_bytes()))?)
    }

    /// Its `kid`.
    #[must_use]
    pub const fn id(&self) -> SigningKeyId {
        self.verifying.id
    }

    /// Its public half.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    pub(crate) fn encoding_key(&self) -> EncodingKey {
        encoding_key(&self.seed)
    }
}

impl Jwk {
    /// Its `kid`.
    pub(super) const fn kid(&self) -> SigningKeyId {
        self.kid
    }
}

impl VerifyingKey {
    /// Its `kid`.
    #[must_use]
    pub const fn id(&self) -> SigningKeyId {
        self.id
    }

    /// The public key, 32 bytes.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// As the JWKS publishes it.
    #[must_use]
    pub fn jwk(&self) -> Jwk {
        let x = URL_SAFE_NO_PAD.encode(self.public);
        Jwk { kty: "OKP", crv: "Ed25519", r#use: "sig", alg: "EdDSA", kid: self.id, x }
    }

    pub(crate) fn decoding_key(&self) -> DecodingKey {
        DecodingKey::from_ed_der(&self.public)
    }
}

fn encoding_key(seed: &Secret<[u8; 32]>) -> EncodingKey {
    let pkcs8 = Zeroizing::new([PKCS8_FRONT.as_slice(), seed.expose()].concat());
    EncodingKey::from_ed_der(&pkcs8)
}

const fn place(row: &[u8]) -> Place<'_> {
    Place { table: "signing_key", column: "seed", row }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyVersion;
    use crate::time::UnixMs;

    fn id(n: u8) -> SigningKeyId {
        SigningKeyId::new(UnixMs::new(1), [n; 10])
    }

    /// RFC 8037 appendix A.1, A.2 and A.4: seed, public key, signature of a given text.
    #[test]
    fn rfc_8037() {
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let key = SigningKey::from_seed(id(1), Secret::new(seed.try_into().unwrap())).unwrap();
        let jwk = serde_json::to_value(key.verifying_key().jwk()).unwrap();
        let expected = serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": id(1).to_string(),
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        assert_eq!(jwk, expected);

        let text = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(jsonwebtoken::crypto::sign(text, &key.encoding_key(), Algorithm::EdDSA).unwrap(), signature);
        let verified =
            jsonwebtoken::crypto::verify(signature, text, &key.verifying_key().decoding_key(), Algorithm::EdDSA);
        assert!(verified.unwrap());
    }

    #[test]
    fn a_seed_opens_only_as_its_own_key_of_its_own_tenant() {
        let (tenant, other) = (TenantId::new(UnixMs::new(1), [1; 10]), TenantId::new(UnixMs::new(1), [2; 10]));
        let root = RootKey::from_random(KeyVersion::FIRST, [3; 32]);
        let key = SigningKey::from_seed(id(1), Secret::new([4; 32])).unwrap();
        let sealed = key.seal(&root, tenant, Nonce::from_random([5; 12])).unwrap();

        let opened = SigningKey::open(&root, tenant, id(1), &sealed).unwrap();
        assert_eq!(opened.verifying_key(), key.verifying_key());
        assert_eq!(SigningKey::open(&root, other, id(1), &sealed).err(), Some(CryptoError));
        assert_eq!(SigningKey::open(&root, tenant, id(2), &sealed).err(), Some(CryptoError));
    }
}
