//! Square: `x-square-hmacsha256-signature`, HMAC-SHA-256 in base64 of the notification URL and the body, keyed by the
//! subscription's signature key as it is written. The URL is the one that is registered at Square, letter by letter.
//!
//! `x-square-signature`, with SHA-1, is retired and signs nothing.

use serde::Deserialize;

use super::claim::{Claim, posts_a_body};
use super::event::{Event, NoEvent, Told, from_json};
use super::url::Url;
use super::{Delivery, Refusal, instant};

const HEADER: &str = "x-square-hmacsha256-signature";

pub(super) fn claim<'a>(delivery: &Delivery<'a>) -> Result<Claim<'a>, Refusal> {
    posts_a_body(delivery)?;
    Url::of(delivery.url).ok_or(Refusal::Url)?;
    Claim::in_base64(delivery, HEADER, delivery.url.as_bytes())
}

#[derive(Deserialize)]
struct Body {
    event_id: String,
    r#type: String,
    merchant_id: Option<String>,
    created_at: Option<String>,
}

pub(super) fn event(body: &[u8]) -> Result<Event, NoEvent> {
    let Body { event_id, r#type, merchant_id, created_at } = from_json(body)?;
    let at = created_at.as_deref().and_then(instant::parse);
    Event { id: event_id, kind: r#type, account: merchant_id, at, number: None, told: Told::ById }.bounded()
}
