//! Twilio: `X-Twilio-Signature`, HMAC-SHA-1 in base64 keyed by the account's auth token, of the URL as it was called and then
//!
//! - for a form: name and value of each parameter of the body, decoded, by name; of a name that comes again each value once,
//!   in order. Nothing stands between them.
//! - for any other body: nothing, but the query of the URL has the SHA-256 of the body, `bodySHA256`, in lower-case hex.
//! - for a GET: nothing. A body that nothing signs is refused.
//!
//! Twilio signs the URL now with a port and now without, so both are tried; then both with their query escaped, and written
//! anew, as the SDK for Node.js does. Each is the URL of the tenant in other letters.
//!
//! A shared key (in beta in 2026) signs the same text with HMAC-SHA-256. Which of the two it is, the tenant has stored: the
//! header in which Twilio says so, `X-Twilio-Webhooks-Signature-Settings`, can be written by anybody and is not read.
//!
//! No time is signed. An event's id is made of everything that is: what Twilio sends again is the same, letter by letter, and
//! what it sends of the same call with another digit pressed is not. Nothing stands between a name, its value and the next name
//! in what is signed: whoever has seen one good delivery can cut the same text elsewhere, and has the same event ([`Told`]).
//! `I-Twilio-Idempotency-Token` is not signed and not used.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::claim::{Claim, Signatures, only, signature};
use super::event::{Event, NoEvent, Told, from_json};
use super::url::{Url, with_query_anew, with_query_escaped};
use super::{Delivery, Refusal, encoding, form};

const HEADER: &str = "X-Twilio-Signature";
const FORM: &str = "application/x-www-form-urlencoded";
/// What the query of a URL calls the hash of a body that is no form.
const BODY_HASH: &str = "bodySHA256";
/// Bytes of the hash in an event's id.
const ID_HASH_BYTES: usize = 16;

/// What a tenant's deliveries of Twilio are signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-SHA-1 with the account's auth token.
    HmacSha1,
    /// HMAC-SHA-256 with a shared key.
    HmacSha256,
}

pub(super) fn claim<'a>(delivery: &Delivery<'a>, algorithm: Algorithm) -> Result<Claim<'a>, Refusal> {
    if !matches!(delivery.method, "GET" | "POST") {
        return Err(Refusal::Method);
    }
    let url = Url::of(delivery.url).ok_or(Refusal::Url)?;
    let text = signature(delivery, HEADER)?;
    let (sha1, sha256) = (encoding::base64(text), encoding::base64(text));
    let signatures = match (algorithm, sha1, sha256) {
        (Algorithm::HmacSha1, Some(mac), _) => Signatures::Sha1(mac),
        (Algorithm::HmacSha256, _, Some(mac)) => Signatures::Sha256(vec![mac]),
        (_, None, None) => return Err(Refusal::Malformed),
        (Algorithm::HmacSha1, None, _) | (Algorithm::HmacSha256, _, None) => return Err(Refusal::OtherAlgorithm),
    };
    let rest = signed_of_body(delivery, &url)?;
    Ok(Claim { signatures, heads: heads(&url), rest: rest.into(), signed_at_s: None })
}

/// The ways in which the URL may have been written when it was signed, each once.
fn heads<'a>(url: &Url<'_>) -> Vec<Cow<'a, [u8]>> {
    let as_called = url.without_and_with_port();
    let escaped = as_called.each_ref().map(|url| with_query_escaped(url));
    let anew = escaped.each_ref().map(|url| with_query_anew(url));
    let mut heads: Vec<Cow<'a, [u8]>> = vec![];
    for way in [as_called, escaped, anew].into_iter().flatten() {
        let way = Cow::Owned(way.into_bytes());
        if !heads.contains(&way) {
            heads.push(way);
        }
    }
    heads
}

/// What is signed of the body behind the URL.
fn signed_of_body(delivery: &Delivery<'_>, url: &Url<'_>) -> Result<Vec<u8>, Refusal> {
    let hashes: Vec<_> = url.query().filter(|(name, _)| *name == BODY_HASH).map(|(_, value)| value).collect();
    let form = if is_form(delivery) { sorted(delivery.body) } else { vec![] };
    // A form of which nothing is signed must not stand in for the body whose hash the URL names.
    if !form.is_empty() || (is_form(delivery) && hashes.is_empty()) {
        return Ok(form);
    }
    match hashes.as_slice() {
        [] if delivery.body.is_empty() => Ok(vec![]),
        [] => Err(Refusal::BodyNotSigned),
        [hash] => {
            let named = encoding::hex(hash).ok_or(Refusal::BodyHash)?;
            let is_right = bool::from(Sha256::digest(delivery.body).as_slice().ct_eq(&named));
            if is_right { Ok(vec![]) } else { Err(Refusal::BodyHash) }
        }
        _ => Err(Refusal::BodyHash),
    }
}

/// Whether the parameters of the body are signed.
fn is_form(delivery: &Delivery<'_>) -> bool {
    let media_type = only(delivery, "Content-Type").ok().flatten().unwrap_or_default();
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
    delivery.method == "POST" && essence.trim_ascii().eq_ignore_ascii_case(FORM.as_bytes())
}

/// Name and value of every parameter, by name, one behind the other.
fn sorted(body: &[u8]) -> Vec<u8> {
    let mut parameters: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for (name, value) in form::pairs(body) {
        parameters.entry(name).or_default().insert(value);
    }
    let mut signed = Vec::with_capacity(body.len());
    for (name, values) in parameters {
        for value in values {
            signed.extend_from_slice(&name);
            signed.extend_from_slice(&value);
        }
    }
    signed
}

/// What names the thing that an event is about, what says how it stands, and what that thing is called in a kind. The first
/// that is there counts: what is recorded has the id of its call, too.
const THINGS: [(&str, &[&str], &str); 5] = [
    ("MessageSid", &["MessageStatus", "SmsStatus"], "message"),
    ("SmsSid", &["SmsStatus"], "message"),
    ("RecordingSid", &["RecordingStatus"], "recording"),
    ("ConferenceSid", &["StatusCallbackEvent"], "conference"),
    ("CallSid", &["CallStatus"], "call"),
];

/// `{sid}/{hash of all that is signed}`, of the kind `message.delivered`, or `message` alone where nothing says how it stands.
pub(super) fn event(delivery: &Delivery<'_>) -> Result<Event, NoEvent> {
    let parameters = parameters(delivery)?;
    let text = |name: &str| parameters.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let known = THINGS.iter().find_map(|(sid, states, what)| Some((text(sid)?, states, what)));
    let (sid, states, what) = known.ok_or(NoEvent::NoId)?;
    let state = states.iter().find_map(|name| text(name));
    let hash = Sha256::digest(signed_text(delivery));
    Event {
        id: format!("{sid}/{}", encoding::to_hex(hash.get(..ID_HASH_BYTES).unwrap_or_default())),
        kind: state.map_or_else(|| (*what).to_owned(), |state| format!("{what}.{state}")),
        account: text("AccountSid").map(str::to_owned),
        at: None,
        number: text("SequenceNumber").and_then(|number| number.parse().ok()),
        told: Told::BySigned(hash.into()),
    }
    .bounded()
}

/// What a delivery says, by name. Names and values that are no UTF-8 say nothing.
fn parameters(delivery: &Delivery<'_>) -> Result<Map<String, Value>, NoEvent> {
    let of_form = |form: &[u8]| {
        let text = |bytes| String::from_utf8(bytes).ok();
        form::pairs(form).filter_map(|(name, value)| Some((text(name)?, text(value)?.into()))).collect()
    };
    if is_form(delivery) {
        return Ok(of_form(delivery.body));
    }
    if delivery.body.is_empty() {
        let query = delivery.url.split_once('?').map_or("", |(_, query)| query);
        return Ok(of_form(query.as_bytes()));
    }
    from_json(delivery.body)
}

/// What is signed, in one text for each: however the URL is written, whatever stands for a letter in it or in a form, and
/// however name and value are cut out of it. Nothing stands between them there, so nothing does here.
fn signed_text(delivery: &Delivery<'_>) -> Vec<u8> {
    let url = Url::of(delivery.url).map(|url| url.without_and_with_port());
    let url = url.map_or_else(String::new, |[bare, _]| with_query_anew(&with_query_escaped(&bare)));
    let body = if is_form(delivery) { sorted(delivery.body) } else { delivery.body.to_vec() };
    [url.as_bytes(), &body].concat()
}
