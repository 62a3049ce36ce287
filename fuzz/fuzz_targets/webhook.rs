//! Webhooks of providers: nothing that was not signed is accepted, whatever it is; what was signed is, and not with another bit.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use freehold_domain::webhook::{
    Algorithm, Delivery, EVENTS_MAX, ID_BYTES_MAX, Refusal, Rule, Secrets, explain, verify,
};
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha1::Sha1;
use sha2::Sha256;

const SECRET: &str = "whsec_test";
const NOW: UnixMs = UnixMs::new(1_700_000_000_000);
const URL: &str = "https://acme.example.com/webhooks/x?a=1";
const RULES: [(Rule, &str); 6] = [
    (Rule::Stripe, "Stripe-Signature"),
    (Rule::Twilio(Algorithm::HmacSha1), "X-Twilio-Signature"),
    (Rule::Twilio(Algorithm::HmacSha256), "X-Twilio-Signature"),
    (Rule::QuickBooks, "intuit-signature"),
    (Rule::Shopify, "X-Shopify-Hmac-Sha256"),
    (Rule::Square, "x-square-hmacsha256-signature"),
];

fn mac<M: Mac + KeyInit>(parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes every length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// As the provider of the rule signs this body; of Twilio one that is no form and is signed by nothing but its URL.
fn signed(rule: Rule, url: &str, body: &[u8]) -> String {
    let sha256 = |parts: &[&[u8]]| mac::<Hmac<Sha256>>(parts);
    match rule {
        Rule::Stripe => {
            let hex: String = sha256(&[b"1700000000.", body]).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("t=1700000000,v1={hex}")
        }
        Rule::Twilio(Algorithm::HmacSha1) => STANDARD.encode(mac::<Hmac<Sha1>>(&[url.as_bytes()])),
        Rule::Twilio(Algorithm::HmacSha256) => STANDARD.encode(sha256(&[url.as_bytes()])),
        Rule::QuickBooks | Rule::Shopify => STANDARD.encode(sha256(&[body])),
        Rule::Square => STANDARD.encode(sha256(&[url.as_bytes(), body])),
    }
}

/// Parts of the input: which rule, then a line each for the URL, the media type and the signature, and the body.
fn parts(data: &[u8]) -> Option<(usize, [&[u8]; 4])> {
    let (which, rest) = data.split_first()?;
    let parts: Vec<_> = rest.splitn(4, |byte| *byte == b'\n').collect();
    Some((usize::from(*which) % RULES.len(), parts.try_into().ok()?))
}

fuzz_target!(|data: &[u8]| {
    let Some((which, [url, media_type, signature, body])) = parts(data) else { return };
    let (rule, name) = RULES[which];
    let url = String::from_utf8_lossy(url);
    let secret = Secret::new(SECRET.to_owned());
    let secrets = Secrets { newest: &secret, previous: None };

    // As a stranger sends it.
    let headers = [("Content-Type", media_type), (name, signature), ("X-Shopify-Topic", media_type)];
    for method in ["POST", "GET"] {
        let delivery = Delivery { method, url: &url, headers: &headers, body };
        let refusal = verify(rule, &delivery, &secrets, NOW).expect_err("nobody signed it");
        let _ = explain(rule, &delivery, &secrets, refusal);
    }

    // As the provider sends it.
    let hash: String = <Sha256 as sha2::Digest>::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let called = if matches!(rule, Rule::Twilio(_)) { format!("{URL}&bodySHA256={hash}") } else { URL.to_owned() };
    let signature = signed(rule, &called, body);
    let good = [(name, signature.as_bytes()), ("X-Shopify-Topic", media_type), ("X-Shopify-Event-Id", media_type)];
    let delivery = Delivery { method: "POST", url: &called, headers: &good, body };
    match verify(rule, &delivery, &secrets, NOW) {
        Ok(verified) => {
            let events = verified.events().unwrap_or_default();
            assert!(events.len() <= EVENTS_MAX && events.iter().all(|event| event.id.len() <= ID_BYTES_MAX));
        }
        Err(refusal) => assert!(body.is_empty() && refusal == Refusal::EmptyBody, "{refusal}"),
    }
    let mut other = body.to_vec();
    if let Some(byte) = other.get_mut(usize::from(data[0])) {
        *byte ^= 1;
        assert!(verify(rule, &Delivery { body: &other, ..delivery }, &secrets, NOW).is_err());
    }
});
