//! What never became a request: an answer all the same, with everything that each answer has.

use axum::http::StatusCode;

use crate::problem::{Kind, Problem};

/// An extension that says: this stands for bytes that could not be read as a request, and such was the verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unreadable(pub(crate) StatusCode);

impl From<Unreadable> for Problem {
    fn from(Unreadable(verdict): Unreadable) -> Self {
        match verdict {
            StatusCode::URI_TOO_LONG => Self::new(Kind::UriTooLong),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::new(Kind::HeadersTooLarge),
            _ => Self::invalid("(head)", "is not well-formed HTTP/1.1"),
        }
    }
}
