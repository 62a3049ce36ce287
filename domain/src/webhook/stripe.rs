//! Stripe: `Stripe-Signature: t=…,v1=…[,v1=…]`, HMAC-SHA-256 in lower-case hex of `{t}.{body}`, keyed by the whole text of the
//! endpoint's secret, `whsec_` with it.
//!
//! - Only `v1` signs: `v0` is for tests, and believing what else may come would be a way down. Other keys say nothing.
//! - Of several `v1` any may fit: while a secret is rolled Stripe signs with both.
//! - Two `t` are refused. SDKs differ in which they sign with and which they compare with the clock.
//! - The time is signed and may be [`TOLERANCE`](super::TOLERANCE) away, in the past and in the future.

use serde::Deserialize;

use super::claim::{Claim, Signatures, posts_a_body, signature};
use super::event::{Event, NoEvent, Told, from_json};
use super::{Delivery, Refusal, encoding, instant};
use crate::time::UnixMs;

/// How many signatures a header may have; each costs a comparison.
pub const SIGNATURES_MAX: usize = 16;

const HEADER: &str = "Stripe-Signature";
/// Bytes of a header that is looked at.
const HEADER_BYTES_MAX: usize = 4 * 1024;
/// Digits of a time: far more than seconds need for long.
const DIGITS_MAX: usize = 12;

pub(super) fn claim<'a>(delivery: &Delivery<'a>) -> Result<Claim<'a>, Refusal> {
    posts_a_body(delivery)?;
    let (time, signatures) = read(signature(delivery, HEADER)?).ok_or(Refusal::Malformed)?;
    Ok(Claim {
        signatures: Signatures::Sha256(signatures),
        heads: vec![format!("{time}.").into_bytes().into()],
        rest: delivery.body.into(),
        signed_at_s: Some(time),
    })
}

/// The time, and every `v1` that can be a signature.
fn read(header: &str) -> Option<(i64, Vec<[u8; encoding::MAC_BYTES]>)> {
    if header.len() > HEADER_BYTES_MAX {
        return None;
    }
    let (mut time, mut signatures) = (None, vec![]);
    for (key, value) in header.split(',').filter_map(|item| item.split_once('=')) {
        match key {
            "t" if time.is_some() => return None,
            "t" => time = Some(seconds(value)?),
            "v1" => signatures.extend(encoding::hex(value)),
            _ => {}
        }
    }
    let is_bounded = (1..=SIGNATURES_MAX).contains(&signatures.len());
    Some((time?, signatures)).filter(|_| is_bounded)
}

/// Seconds in the one text that they have: digits, without a zero before them.
fn seconds(text: &str) -> Option<i64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    (is_plain && text.len() <= DIGITS_MAX).then(|| text.parse().ok())?
}

/// `{"id", "type", "created", "account"}`, `created` in seconds, or as a text in events of the second version of the API;
/// `account` where it is about one that is connected.
#[derive(Deserialize)]
struct Body {
    id: String,
    r#type: String,
    created: Option<Created>,
    account: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Created {
    Seconds(i64),
    Text(String),
}

pub(super) fn event(body: &[u8]) -> Result<Event, NoEvent> {
    let Body { id, r#type, created, account } = from_json(body)?;
    let at = created.and_then(|created| match created {
        Created::Seconds(seconds) => Some(UnixMs::new(seconds.saturating_mul(1_000))),
        Created::Text(text) => instant::parse(&text),
    });
    Event { id, kind: r#type, account, at, number: None, told: Told::ById }.bounded()
}
