//! The keys of an OpenID provider (RFC 7517), and when they are asked for again.
//!
//! ```text
//! none, or an hour old --any key--> fetch         fetched --known key--> that key
//! fetched --unknown key, a minute after the last fetch or later--> fetch, before that: unknown
//! ```

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use crate::time::UnixMs;

/// How long keys are believed without being asked for again.
const FRESH: Duration = Duration::from_hours(1);
/// An unknown key leads to one fetch in this time: forged tokens are no way to make calls.
const FETCH_EVERY: Duration = Duration::from_mins(1);
const KEYS_MAX: usize = 32;

/// How an id token may be signed. A key has one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedWith {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
}

impl SignedWith {
    /// The algorithm with this name; `None` for every other, `none` and those with shared secrets too.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }

    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Es256 => Algorithm::ES256,
        }
    }
}

/// A key that verifies id tokens.
#[derive(Clone)]
pub struct ProviderKey {
    id: String,
    pub(super) with: SignedWith,
    pub(super) key: DecodingKey,
}

/// The keys of a provider that can be used here.
#[derive(Clone, Default)]
pub struct KeySet(Vec<ProviderKey>);

/// The text is no set of keys.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a set of keys")]
pub struct NotAKeySet;

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JWK set. Keys for other uses, of other kinds or without a name are passed over.
    ///
    /// # Errors
    /// [`NotAKeySet`] for other text, more than 32 keys, and two keys of one name.
    pub fn parse(text: &str) -> Result<Self, NotAKeySet> {
        let document: Document = serde_json::from_str(text).map_err(|_| NotAKeySet)?;
        if document.keys.len() > KEYS_MAX {
            return Err(NotAKeySet);
        }
        let keys: Vec<_> =
            document.keys.into_iter().filter_map(|key| usable(serde_json::from_value(key).ok()?)).collect();
        let mut names: Vec<_> = keys.iter().map(|key| key.id.as_str()).collect();
        names.sort_unstable();
        if names.array_windows().any(|[a, b]| a == b) { Err(NotAKeySet) } else { Ok(Self(keys)) }
    }

    fn find(&self, id: &str) -> Option<&ProviderKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

fn usable(jwk: Jwk) -> Option<ProviderKey> {
    if jwk.usage.is_some_and(|usage| usage != "sig") || jwk.kid.is_empty() {
        return None;
    }
    let (with, key) = match jwk.kty.as_str() {
        "RSA" => (SignedWith::Rs256, DecodingKey::from_rsa_components(&jwk.n?, &jwk.e?).ok()?),
        "EC" if jwk.crv.as_deref() == Some("P-256") => {
            (SignedWith::Es256, DecodingKey::from_ec_components(&jwk.x?, &jwk.y?).ok()?)
        }
        _ => return None,
    };
    jwk.alg.is_none_or(|alg| SignedWith::parse(&alg) == Some(with)).then_some(ProviderKey { id: jwk.kid, with, key })
}

/// The keys as they were fetched, and when.
#[derive(Default)]
pub struct KeyCache {
    keys: KeySet,
    /// When they came; `None` before the first.
    fetched_at: Option<UnixMs>,
    /// When they were last asked for.
    asked_at: UnixMs,
}

/// What a cache says of a key's name.
pub enum Found {
    /// The key.
    Key(ProviderKey),
    /// It must be asked for.
    Fetch,
    /// There is no such key.
    Unknown,
}

impl KeyCache {
    /// Looks for a key.
    #[must_use]
    pub fn find(&self, id: &str, now: UnixMs) -> Found {
        let fresh = self.fetched_at.is_some_and(|at| now.since(at) < FRESH);
        if !fresh {
            return Found::Fetch;
        }
        match self.keys.find(id) {
            Some(key) => Found::Key(key.clone()),
            None if now.since(self.asked_at) < FETCH_EVERY => Found::Unknown,
            None => Found::Fetch,
        }
    }

    /// They are being asked for.
    pub const fn ask(&mut self, now: UnixMs) {
        self.asked_at = now;
    }

    /// They came.
    pub fn take(&mut self, keys: KeySet, now: UnixMs) {
        (self.keys, self.fetched_at) = (keys, Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs::new(1_700_000_000_000);
    const EC: &str = r#""kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

    fn names(text: &str) -> Result<Vec<String>, NotAKeySet> {
        KeySet::parse(text).map(|set| set.0.into_iter().map(|key| key.id).collect())
    }

    #[test]
    fn only_keys_that_sign_are_taken() {
        let set = format!(
            r#"{{"keys": [{{{EC}, "kid": "a"}}, {{{EC}, "kid": "b", "use": "sig", "alg": "ES256"}}, {{{EC}, "kid": "c", "use": "enc"}},
            {{{EC}, "kid": "d", "alg": "RS256"}}, {{{EC}}}, {{"kty": "oct", "kid": "e", "k": "AAAA"}}, {{"kty": "EC", "crv": "P-384", "kid": "f"}},
            {{"kty": "RSA", "kid": "g", "n": "AQAB", "e": "AQAB"}}, {{"kty": "RSA", "kid": "h"}}, 7, {{"kty": "OKP", "kid": "i"}}]}}"#
        );
        assert_eq!(names(&set), Ok(vec!["a".to_owned(), "b".to_owned(), "g".to_owned()]));
        assert_eq!(names(r#"{"keys": []}"#), Ok(vec![]));
        let twice = format!(r#"{{"keys": [{{{EC}, "kid": "a"}}, {{{EC}, "kid": "a"}}]}}"#);
        let many = format!(r#"{{"keys": [{}]}}"#, vec!["1"; 33].join(","));
        for no in ["", "[]", "{}", r#"{"keys": {}}"#, &twice, &many] {
            assert_eq!(names(no), Err(NotAKeySet), "{no}");
        }
    }

    #[test]
    fn only_two_algorithms_are_known() {
        for no in ["none", "None", "HS256", "RS512", "rs256", "PS256", "EdDSA", ""] {
            assert_eq!(SignedWith::parse(no), None, "{no}");
        }
    }

    #[test]
    fn an_unknown_key_is_asked_for_once_a_minute() {
        let after = |s| NOW.plus(Duration::from_secs(s));
        let set = || KeySet::parse(&format!(r#"{{"keys": [{{{EC}, "kid": "a"}}]}}"#)).unwrap();
        let mut cache = KeyCache::default();
        assert!(matches!(cache.find("a", NOW), Found::Fetch));
        cache.ask(NOW);
        assert!(matches!(cache.find("a", NOW), Found::Fetch), "without any it is asked again");
        cache.take(set(), NOW);
        assert!(matches!(cache.find("a", NOW), Found::Key(_)));
        assert!(matches!(cache.find("b", after(59)), Found::Unknown));
        assert!(matches!(cache.find("b", after(60)), Found::Fetch));
        cache.ask(after(60)); // in vain
        assert!(matches!(cache.find("b", after(61)), Found::Unknown));
        assert!(matches!(cache.find("a", after(61)), Found::Key(_)));
        assert!(matches!(cache.find("a", after(3_600)), Found::Fetch), "they are an hour old");
    }
}
