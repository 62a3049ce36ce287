//! What a verified delivery tells of: which event, of which kind, about whom and when.

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::time::UnixMs;

/// Bytes of an event's id.
pub const ID_BYTES_MAX: usize = 255;
/// Bytes of its kind, and of the account it is about.
pub const TEXT_BYTES_MAX: usize = 255;
/// Events of one delivery.
pub const EVENTS_MAX: usize = 1_000;

/// An event at a provider. Its texts are 1 to 255 visible characters of ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The same whenever the provider tells of the event again, and of no other event of this provider's.
    pub id: String,
    /// What happened, in the provider's words.
    pub kind: String,
    /// To whom: the connected account, the shop, the merchant, the company; `None` where the tenant has one alone.
    pub account: Option<String>,
    /// When it happened. What is older than what is known of the same object is not news.
    pub at: Option<UnixMs>,
    /// Its place among the events of one call, where the provider counts them.
    pub number: Option<u64>,
    /// What of this can be believed to tell it from other events.
    pub told: Told,
}

/// What tells an event from every other one of its provider's, as far as the signature says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its id, which is signed.
    ById,
    /// All that is signed, of which this is the SHA-256: the id is read from it, and the same signed text can be read in more
    /// than one way.
    BySigned([u8; 32]),
    /// What happened, and the body: the id is in a header, which nobody signs, so that a good body can come again under another.
    ByBody,
}

/// A verified delivery tells of nothing that can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEvent {
    /// The body is not of the provider's shape.
    #[error("its body is not of the provider's shape")]
    Shape,
    /// Nothing names the event.
    #[error("nothing in it names an event")]
    NoId,
    /// Nothing says of which kind the event is.
    #[error("nothing in it says what happened")]
    NoKind,
    /// A name is empty, longer than its bound, holds what cannot be seen, or comes twice.
    #[error("a name in it is empty, too long, given twice or not of visible characters")]
    Bounds,
    /// There are more than [`EVENTS_MAX`].
    #[error("it tells of more than {EVENTS_MAX} events")]
    TooMany,
}

impl Event {
    /// What tells it from every other event of its provider's, as far as that can be believed. One who has seen a good delivery
    /// cannot send it again as another event; of Shopify, whose topics are not signed, as another of that kind. Two events of
    /// one kind with the same body, byte by byte, are one there.
    #[must_use]
    pub fn once_key(&self, body: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        match &self.told {
            Told::ById => hash.update([b"id\0", self.id.as_bytes()].concat()),
            Told::BySigned(signed) => return *signed,
            Told::ByBody => {
                hash.update([b"body\0", self.kind.as_bytes(), b"\0"].concat());
                hash.update(body);
            }
        }
        hash.finalize().into()
    }

    /// The event, if its texts are within their bounds.
    pub(super) fn bounded(self) -> Result<Self, NoEvent> {
        let is_good =
            |text: &str, max| (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let account = self.account.as_deref().is_none_or(|account| is_good(account, TEXT_BYTES_MAX));
        let is_bounded = is_good(&self.id, ID_BYTES_MAX) && is_good(&self.kind, TEXT_BYTES_MAX) && account;
        if is_bounded { Ok(self) } else { Err(NoEvent::Bounds) }
    }
}

/// A body that must have this shape, whatever else it has.
pub(super) fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, NoEvent> {
    serde_json::from_slice(body).map_err(|_| NoEvent::Shape)
}
