//! Shopify: `X-Shopify-Hmac-Sha256`, HMAC-SHA-256 in base64 of the body, keyed by the app's client secret as it is written.
//!
//! Shopify signs with the oldest secret that is not revoked, and with a revoked one for half an hour more: whoever rotates
//! needs the previous secret here until then.
//!
//! **Its headers are not signed.** What it is about, which shop, and the id that retries share are in headers alone, so
//! whoever has seen one good request can send its body again under another id. [`Told`] says so.

use super::claim::{Claim, only, posts_a_body};
use super::event::{Event, NoEvent, Told};
use super::{Delivery, Refusal, instant};

const HEADER: &str = "X-Shopify-Hmac-Sha256";
const TOPIC: &str = "X-Shopify-Topic";
const SHOP: &str = "X-Shopify-Shop-Domain";
/// The same for each try at one delivery.
const DELIVERY_ID: &str = "X-Shopify-Webhook-Id";
/// The same for everything that one deed at the shop has set off.
const DEED_ID: &str = "X-Shopify-Event-Id";
const TRIGGERED_AT: &str = "X-Shopify-Triggered-At";

pub(super) fn claim<'a>(delivery: &Delivery<'a>) -> Result<Claim<'a>, Refusal> {
    posts_a_body(delivery)?;
    Claim::in_base64(delivery, HEADER, b"")
}

/// Its id is that of the delivery, which its retries share; without one that of the deed with the topic behind it.
pub(super) fn event(delivery: &Delivery<'_>) -> Result<Event, NoEvent> {
    let kind = header(delivery, TOPIC)?.ok_or(NoEvent::NoKind)?;
    let id = match (header(delivery, DELIVERY_ID)?, header(delivery, DEED_ID)?) {
        (Some(id), _) => id.to_owned(),
        (None, Some(deed)) => format!("{deed}/{kind}"),
        (None, None) => return Err(NoEvent::NoId),
    };
    let account = header(delivery, SHOP)?.map(str::to_owned);
    let at = header(delivery, TRIGGERED_AT)?.and_then(instant::parse);
    Event { id, kind: kind.to_owned(), account, at, number: None, told: Told::ByBody }.bounded()
}

fn header<'a>(delivery: &Delivery<'a>, name: &str) -> Result<Option<&'a str>, NoEvent> {
    let value = only(delivery, name).map_err(|_| NoEvent::Bounds)?;
    value.map(|value| str::from_utf8(value).map_err(|_| NoEvent::Bounds)).transpose()
}
