//! The API keys of an active tenant, as its requests are checked against them: loaded with the tenant, which is loaded
//! anew when one of them changes.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use freehold_domain::api_key::{KeyHash, KnownKey};
use freehold_domain::gcra::Subject;
use freehold_domain::id::ApiKeyId;
use freehold_domain::time::UnixMs;
use freehold_storage::StoreError;
use freehold_storage::api_key::ApiKeyRow;

/// How often the use of a key is noted.
const NOTED_EVERY: Duration = Duration::from_mins(1);

/// The keys of a tenant that were good when it was loaded.
#[derive(Debug, Default)]
pub struct ApiKeys(Box<[Arc<LiveKey>]>);

/// A key, and when its use was last noted.
#[derive(Debug)]
pub struct LiveKey {
    /// The key.
    pub known: KnownKey,
    noted_at: AtomicI64,
}

impl ApiKeys {
    /// The keys of these rows.
    pub(crate) fn read(rows: Vec<ApiKeyRow>) -> Result<Self, StoreError> {
        let live = rows.into_iter().map(|row| {
            let noted_at = row.last_used_at_ms.unwrap_or_default().get().into();
            Ok(Arc::new(LiveKey { known: known(row)?, noted_at }))
        });
        live.collect::<Result<_, StoreError>>().map(Self)
    }

    /// The key whose hash was presented, if it is good at `now`. Each is compared, in constant time.
    #[must_use]
    pub fn find(&self, presented: &KeyHash, now: UnixMs) -> Option<Arc<LiveKey>> {
        self.0.iter().fold(None, |found, key| if key.known.admits(presented, now) { Some(key) } else { found }).cloned()
    }

    /// With which key and from where this visitor calls, if it is one of these keys.
    pub(crate) fn visited(&self, visitor: Subject) -> Option<(ApiKeyId, IpAddr)> {
        self.0.iter().find_map(|key| visitor.visits_from(key.known.id).map(|address| (key.known.id, address)))
    }
}

impl LiveKey {
    /// Whether this use at `now` is to be noted: one of all those within a minute.
    pub(crate) fn note(&self, now: UnixMs) -> bool {
        let noted = self.noted_at.load(Ordering::Relaxed);
        now.since(UnixMs::new(noted)) >= NOTED_EVERY
            && self.noted_at.compare_exchange(noted, now.get(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// The key of a row.
pub(crate) fn known(row: ApiKeyRow) -> Result<KnownKey, StoreError> {
    let id = row.key.id;
    let corrupt = || StoreError::Corrupt { table: "api_key", id: id.to_string() };
    let hash = |bytes: Vec<u8>| bytes.try_into().map(KeyHash::from_bytes).map_err(|_| corrupt());
    Ok(KnownKey {
        id,
        kind: row.key.kind.parse().map_err(|_| corrupt())?,
        scopes: row.key.scopes.parse().map_err(|_| corrupt())?,
        allowed_origins: row.key.allowed_origins.split_whitespace().map(str::to_owned).collect(),
        hash: hash(row.key.hash)?,
        previous: row.previous.map(|(bytes, until)| Ok::<_, StoreError>((hash(bytes)?, until))).transpose()?,
        expires_at: row.key.expires_at_ms,
    })
}

#[cfg(test)]
mod tests {
    use freehold_domain::api_key::{KeyKind, Scopes};

    use super::*;

    const NOW: UnixMs = UnixMs::new(1_800_000_000_000);

    #[test]
    fn one_use_a_minute_is_noted() {
        let known = KnownKey {
            id: ApiKeyId::new(NOW, [1; 10]),
            kind: KeyKind::Secret,
            scopes: Scopes::all(),
            allowed_origins: vec![],
            hash: KeyHash::from_bytes([1; 32]),
            previous: None,
            expires_at: None,
        };
        let key = LiveKey { known, noted_at: AtomicI64::new(0) };
        let at = |s| NOW.plus(Duration::from_secs(s));
        let noted: Vec<_> = [0, 1, 59, 60, 60, 119, 120, 30].into_iter().filter(|s| key.note(at(*s))).collect();
        assert_eq!(noted, [0, 60, 120]);
    }
}
