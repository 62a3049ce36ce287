//! The bounds of every request body: how many bytes, and by when the last of them.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::headers::CSP_REPORT;
use crate::problem::{Kind, Problem};

const SMALL_BYTES_MAX: u64 = 16 * 1024;
/// Most bytes of a body that is received before a place is taken for its request.
pub(super) const RECEIVED_BYTES_MAX: u64 = 64 * 1024;
const BYTES_MAX: u64 = 1024 * 1024;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyFault {
    #[error("the body is larger than allowed")]
    TooLarge,
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("the body broke off")]
    Broken(#[source] axum::Error),
}

impl BodyFault {
    /// The fault in this chain of causes.
    pub(crate) fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |&error| error.source()).find_map(<dyn Error>::downcast_ref)
    }

    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::TooLarge => Problem::new(Kind::PayloadTooLarge),
            Self::TooSlow => Problem::new(Kind::RequestTimeout),
            Self::Broken(_) => Problem::invalid("(body)", "could not be read to its end"),
        }
    }
}

/// How many bytes the body of a request for this path may have. One place, so that no route can forget it.
pub(crate) fn limit_of(path: &str) -> u64 {
    if path.starts_with("/v1/auth/") || path == CSP_REPORT { SMALL_BYTES_MAX } else { BYTES_MAX }
}

/// Whether the request announces more than `bytes_max`: it is refused without reading any of it.
pub(crate) fn too_large(headers: &HeaderMap, bytes_max: u64) -> bool {
    headers.contains_key(CONTENT_LENGTH) && announced(headers).is_none_or(|bytes| bytes > bytes_max)
}

/// How many bytes the request announces.
pub(crate) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body, failing with a [`BodyFault`] past `bytes_max` or when it has not ended by `deadline`.
pub(crate) fn bound(body: Body, bytes_max: u64, deadline: Instant) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::new(Bounded { inner: body, bytes_left: bytes_max, deadline, timer: None })
}

struct Bounded {
    inner: Body,
    bytes_left: u64,
    deadline: Instant,
    /// Made when the body first keeps us waiting.
    timer: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
                let Some(left) = this.bytes_left.checked_sub(bytes) else {
                    return Poll::Ready(Some(Err(BodyFault::TooLarge)));
                };
                this.bytes_left = left;
                // Bytes that always come just in time must not outlast the deadline either.
                let late = this.timer.as_ref().is_some_and(|timer| timer.is_elapsed());
                Poll::Ready(Some(if late { Err(BodyFault::TooSlow) } else { Ok(frame) }))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyFault::Broken(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(this.deadline)));
                timer.as_mut().poll(cx).map(|()| Some(Err(BodyFault::TooSlow)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_by_path() {
        assert_eq!(limit_of("/v1/auth/login"), 16 * 1024);
        assert_eq!(limit_of("/csp-report"), 16 * 1024);
        assert_eq!(limit_of("/v1/authors"), 1024 * 1024);
        assert_eq!(limit_of("/webhooks/stripe"), 1024 * 1024);
    }

    #[test]
    fn an_announced_length_is_judged_before_reading() {
        let with = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, text.parse().expect("a value"));
            too_large(&headers, 10)
        };
        assert!(!with("10") && with("11") && with("18446744073709551616") && with("x"));
        assert!(!too_large(&HeaderMap::new(), 10));
    }
}
