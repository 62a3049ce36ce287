//! Access tokens: nothing that we did not sign is one, whatever it says of itself.
#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use freehold_domain::access_token::verify;
use freehold_domain::id::{SigningKeyId, TenantId};
use freehold_domain::keys::{KeyVersion, Nonce, RootKey, SigningKey, StoredSigningKey, TenantKeys};
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use libfuzzer_sys::fuzz_target;

const NOW: UnixMs = UnixMs::new(1_700_000_000_000);

static KEYS: LazyLock<TenantKeys> = LazyLock::new(|| {
    let (tenant, id) = (TenantId::new(NOW, [1; 10]), SigningKeyId::new(NOW, [2; 10]));
    let root = RootKey::from_random(KeyVersion::FIRST, [3; 32]);
    let key = SigningKey::from_seed(id, Secret::new([4; 32])).expect("a key");
    let seed = key.seal(&root, tenant, Nonce::from_random([5; 12])).expect("sealed");
    let stored = StoredSigningKey { id, seed, made: NOW, signs_until: None };
    TenantKeys::open(tenant, &[root], &[stored]).expect("keys")
});

/// A header that is whole, with the kid of a key that there is.
static HEADER: LazyLock<String> = LazyLock::new(|| {
    let kid = SigningKeyId::new(NOW, [2; 10]);
    URL_SAFE_NO_PAD.encode(format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{kid}"}}"#))
});

fuzz_target!(|data: &[u8]| {
    let is_refused = |token: &str| verify(token, &KEYS, KEYS.tenant(), "https://acme.example.com", NOW).is_err();
    if let Ok(token) = std::str::from_utf8(data) {
        assert!(is_refused(token));
    }
    let claims = URL_SAFE_NO_PAD.encode(data);
    let signature = URL_SAFE_NO_PAD.encode([data.first().copied().unwrap_or_default(); 64]);
    assert!(is_refused(&format!("{}.{claims}.{signature}", *HEADER)));
});
