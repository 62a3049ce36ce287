//! Why a delivery is refused, in words for the tenant's log.

use super::{SIGNATURES_MAX, TOLERANCE, URL_BYTES_MAX, WrongKind};

/// Why a delivery is refused. The messages name nothing of the request but how old it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No header signs it.
    #[error("there is no signature")]
    NoSignature,
    /// Two headers do.
    #[error("there is more than one signature header")]
    TwoSignatures,
    /// The header is not as the provider writes it: hex for base64, capital letters, another length, two times, more than
    /// [`SIGNATURES_MAX`] signatures.
    #[error("the signature is not in its form (at most {SIGNATURES_MAX} signatures in one header)")]
    Malformed,
    /// Its method is not one that the provider uses.
    #[error("its method is not one that the provider uses")]
    Method,
    /// The URL that it is said to have come to is none, or longer than [`URL_BYTES_MAX`].
    #[error("its URL is not an http or https URL of at most {URL_BYTES_MAX} bytes")]
    Url,
    /// There is no body, and the provider sends one.
    #[error("its body is empty")]
    EmptyBody,
    /// Twilio: its body is no form, and its URL names no hash of it.
    #[error("nothing signs its body: it is no form, and its URL has no bodySHA256")]
    BodyNotSigned,
    /// Twilio: its body is not the one whose hash is in its URL.
    #[error("its body does not have the hash that its URL names")]
    BodyHash,
    /// Twilio: its signature is one of the algorithm that is not stored.
    #[error(
        "it is signed with another algorithm than is set: with a shared key instead of an auth token, or the other way"
    )]
    OtherAlgorithm,
    /// It is signed well, and too long ago.
    #[error("it was signed {age_s} s ago, which is more than {} s; is it a replay, or is a clock wrong?", TOLERANCE.as_secs())]
    TooOld {
        /// Seconds since then.
        age_s: i64,
    },
    /// It is signed well, and with a time to come.
    #[error("it was signed {ahead_s} s in the future, more than {} s: a clock is wrong", TOLERANCE.as_secs())]
    FromTheFuture {
        /// Seconds until then.
        ahead_s: i64,
    },
    /// No secret fits.
    #[error("no secret fits its signature")]
    WrongSecret,
    /// No secret fits, and this is why: found by [`explain`](super::explain()).
    #[error("no secret fits its signature, and the one that is set is {0}")]
    WrongKind(WrongKind),
    /// The secret fits another text of the same body: found by [`explain`](super::explain()).
    #[error("a secret fits, but something on the way has written the body anew")]
    BodyWrittenAnew,
    /// The secret fits another URL: found by [`explain`](super::explain()).
    #[error(
        "a secret fits, but for another URL: see scheme, port, query and the last slash of the one at the provider"
    )]
    OtherUrl,
}

impl Refusal {
    /// A word for it in rows and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSignature => "no-signature",
            Self::TwoSignatures => "two-signatures",
            Self::Malformed => "malformed-signature",
            Self::Method => "method",
            Self::Url => "url",
            Self::EmptyBody => "empty-body",
            Self::BodyNotSigned => "body-not-signed",
            Self::BodyHash => "body-hash",
            Self::OtherAlgorithm => "other-algorithm",
            Self::TooOld { .. } => "too-old",
            Self::FromTheFuture { .. } => "from-the-future",
            Self::WrongSecret => "wrong-secret",
            Self::WrongKind(_) => "wrong-kind-of-secret",
            Self::BodyWrittenAnew => "body-written-anew",
            Self::OtherUrl => "other-url",
        }
    }
}
