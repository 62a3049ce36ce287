//! The id of a request: on every answer, in every log line, in every problem.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use freehold_domain::id::RequestId;

use freehold_actors::ambient::Ambient;

/// The header that carries it both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const CHARS_MAX: usize = 128;

/// The id of a request as everybody sees it: from a trusted proxy, else a fresh [`RequestId`]. 1 to 128 visible ASCII
/// characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTag(Arc<str>);

/// Makes request ids that no other process makes: UUIDv7 with a counter from a random start (RFC 9562 §6.2, method 1).
/// They are no secret, and asking the system for randomness costs as much as all the rest of an id.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: [u8; 2],
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(ambient: Ambient) -> Self {
        Self { process: ambient.random(), next: AtomicU64::new(u64::from_ne_bytes(ambient.random())) }
    }

    fn next(&self, ambient: Ambient) -> RequestId {
        let mut unique = [0; 10];
        let (process, count) = unique.split_at_mut(self.process.len());
        process.copy_from_slice(&self.process);
        count.copy_from_slice(&self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        RequestId::new(ambient.wall(), unique)
    }
}

impl RequestTag {
    /// The proxy's id if the peer is one (`proxied`), sent exactly one and it is well-formed; else a new UUIDv7.
    #[must_use]
    pub(crate) fn of(headers: &HeaderMap, proxied: bool, ids: &RequestIds, ambient: Ambient) -> Self {
        let given = if proxied { given(headers) } else { None };
        given.unwrap_or_else(|| Self(ids.next(ambient).to_string().into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id, for whoever outlives the request.
    #[must_use]
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The id as a header's value.
    #[must_use]
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static("-")) // visible ASCII: cannot fail
    }
}

fn given(headers: &HeaderMap) -> Option<RequestTag> {
    let mut lines = headers.get_all(X_REQUEST_ID).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let visible = (1..=CHARS_MAX).contains(&line.len()) && line.as_bytes().iter().all(u8::is_ascii_graphic);
    visible.then(|| line.to_str().ok()).flatten().map(|text| RequestTag(text.into()))
}

#[cfg(test)]
mod tests {
    use freehold_domain::time::UnixMs;

    use super::*;

    fn tag(lines: &[&str], proxied: bool) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(line.as_bytes()).expect("a value"));
        }
        let ambient = Ambient { now: || UnixMs::new(1), wall: || UnixMs::new(1), fill: |bytes| bytes.fill(7) };
        RequestTag::of(&headers, proxied, &RequestIds::new(ambient), ambient).as_str().to_owned()
    }

    #[test]
    fn ids_do_not_repeat() {
        let ambient = Ambient { now: || UnixMs::new(1), wall: || UnixMs::new(1), fill: |bytes| bytes.fill(255) };
        let ids = RequestIds::new(ambient);
        let made: std::collections::BTreeSet<_> = (0..1_000).map(|_| ids.next(ambient).to_string()).collect();
        assert_eq!(made.len(), 1_000);
    }

    #[test]
    fn only_a_trusted_proxy_names_requests() {
        let fresh = tag(&[], false);
        assert!(fresh.parse::<RequestId>().is_ok());
        assert_eq!(tag(&["abc"], true), "abc");
        assert_eq!(tag(&["abc"], false), fresh);
        let longest = "x".repeat(128);
        assert_eq!(tag(&[&longest], true), longest);
        for bad in [&["a", "b"][..], &[""], &["a b"], &["a\tb"], &["\u{e9}"], &["x".repeat(129).as_str()]] {
            assert_eq!(tag(bad, true), fresh, "{bad:?}");
        }
    }
}
