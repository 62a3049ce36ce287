//! When a key is good.
//!
//! ```text
//! good --rotate(overlap)--> good, and the text before it until now + overlap; one more rotation ends that at once
//! good --now >= expires_at--> dead       good --revoke--> gone
//! ```

use std::time::Duration;

use super::{KeyHash, KeyKind, Scopes};
use crate::id::ApiKeyId;
use crate::time::UnixMs;

/// How many keys a tenant may have that are neither revoked nor expired.
pub const KEYS_MAX: u32 = 100;
/// How long the text before a rotation may go on working.
pub const OVERLAP_MAX: Duration = Duration::from_hours(7 * 24);

/// A key that was not revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// Which.
    pub id: ApiKeyId,
    /// Where it may be used.
    pub kind: KeyKind,
    /// What for.
    pub scopes: Scopes,
    /// From the pages of which origins; none where it is secret.
    pub allowed_origins: Vec<String>,
    /// The hash of its text.
    pub hash: KeyHash,
    /// The hash of the text before the last rotation, and until when that is good.
    pub previous: Option<(KeyHash, UnixMs)>,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMs>,
}

impl KnownKey {
    /// Whether the key whose hash was presented is this one, and good at `now`.
    #[must_use]
    pub fn admits(&self, presented: &KeyHash, now: UnixMs) -> bool {
        let is_current = self.hash == *presented;
        let is_previous = self.previous.as_ref().is_some_and(|(hash, until)| hash == presented && now < *until);
        let has_ended = self.expires_at.is_some_and(|at| now >= at);
        (is_current || is_previous) && !has_ended
    }

    /// Whether pages of this origin, in its canonical text, may use it.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        self.kind == KeyKind::Publishable && self.allowed_origins.iter().any(|allowed| allowed == origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs::new(1_000_000);

    fn hash(n: u8) -> KeyHash {
        KeyHash::from_bytes([n; 32])
    }

    fn at(ms: i64) -> UnixMs {
        UnixMs::new(NOW.get() + ms)
    }

    #[test]
    fn a_key_is_good_until_its_time_and_its_rotation() {
        // previous until, expires at, presented, now, good
        let table = [
            (None, None, 2, 0, true),
            (None, None, 1, 0, false),
            (None, None, 3, 0, false),
            (Some(10), None, 1, 9, true),
            (Some(10), None, 1, 10, false),
            (Some(10), None, 2, 10, true),
            (Some(0), None, 1, 0, false),
            (None, Some(10), 2, 9, true),
            (None, Some(10), 2, 10, false),
            (Some(20), Some(10), 1, 9, true),
            (Some(20), Some(10), 1, 10, false),
            (Some(20), Some(10), 3, 5, false),
        ];
        for (previous_until, expires_at, presented, now, good) in table {
            let key = KnownKey {
                id: ApiKeyId::new(NOW, [1; 10]),
                kind: KeyKind::Secret,
                scopes: Scopes::all(),
                allowed_origins: vec![],
                hash: hash(2),
                previous: previous_until.map(|until| (hash(1), at(until))),
                expires_at: expires_at.map(at),
            };
            let case = (previous_until, expires_at, presented, now);
            assert_eq!(key.admits(&hash(presented), at(now)), good, "{case:?}");
        }
    }

    #[test]
    fn only_a_publishable_key_is_for_pages() {
        let mut key = KnownKey {
            id: ApiKeyId::new(NOW, [1; 10]),
            kind: KeyKind::Publishable,
            scopes: Scopes::all(),
            allowed_origins: vec!["https://shop.example".to_owned()],
            hash: hash(1),
            previous: None,
            expires_at: None,
        };
        assert!(key.allows("https://shop.example"));
        for other in ["https://shop.example.evil", "http://shop.example", "https://shop.example:444", "null", ""] {
            assert!(!key.allows(other), "{other}");
        }
        key.kind = KeyKind::Secret;
        assert!(!key.allows("https://shop.example"));
    }
}
