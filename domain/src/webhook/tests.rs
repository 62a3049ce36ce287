//! Every provider in one table: what it sends is accepted, and nothing that differs from it in a bit.
//!
//! What the tests sign with knows nothing of the rule: it writes the texts out by hand.

mod events;
mod explain;
mod forms;
mod stripe;
mod twilio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use serde_json::Value;
use sha1::Sha1;
use sha2::Sha256;

use super::*;

/// Signed in the public examples; the rest of the file says of each whether it is to be accepted.
const EXAMPLES: &str = include_str!("../../../tests/it/webhooks/examples.jsonl");
const NOW: UnixMs = UnixMs::new(1_790_000_000_999);
const NOW_S: i64 = 1_790_000_000;

/// A delivery that can be changed.
#[derive(Clone)]
struct Sent {
    rule: Rule,
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// What the tests sign for one provider.
struct Signer {
    rule: Rule,
    header: &'static str,
    media_type: &'static str,
    secret: &'static str,
    /// Given URL and body, each byte of which is signed.
    sign: fn(&str, &str, &[u8]) -> String,
    is_url_signed: bool,
}

const SIGNERS: [Signer; 6] = [
    Signer {
        rule: Rule::Stripe,
        header: "Stripe-Signature",
        media_type: "application/json; charset=utf-8",
        secret: "whsec_tjFCbtoB259HZX5ZjuWzQmOQ4tgxyUsS",
        sign: |secret, _, body| {
            format!("t={NOW_S},v1={}", hex(&sha256(secret, &[format!("{NOW_S}.").as_bytes(), body])))
        },
        is_url_signed: false,
    },
    Signer {
        rule: Rule::Twilio(Algorithm::HmacSha1),
        header: "X-Twilio-Signature",
        media_type: "application/x-www-form-urlencoded; charset=utf-8",
        secret: "c05222328792de479402ee79e62facc5",
        sign: |secret, url, body| STANDARD.encode(sha1(secret, &[url.as_bytes(), &without_marks(body)])),
        is_url_signed: true,
    },
    Signer {
        rule: Rule::Twilio(Algorithm::HmacSha256),
        header: "X-Twilio-Signature",
        media_type: "application/x-www-form-urlencoded",
        secret: "shared-key-of-the-beta",
        sign: |secret, url, body| STANDARD.encode(sha256(secret, &[url.as_bytes(), &without_marks(body)])),
        is_url_signed: true,
    },
    Signer {
        rule: Rule::QuickBooks,
        header: "intuit-signature",
        media_type: "application/json",
        secret: "1050a47d-5365-2fda-5077-0d5a0f919ef2",
        sign: |secret, _, body| STANDARD.encode(sha256(secret, &[body])),
        is_url_signed: false,
    },
    Signer {
        rule: Rule::Shopify,
        header: "X-Shopify-Hmac-Sha256",
        media_type: "application/json",
        secret: "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",
        sign: |secret, _, body| STANDARD.encode(sha256(secret, &[body])),
        is_url_signed: false,
    },
    Signer {
        rule: Rule::Square,
        header: "x-square-hmacsha256-signature",
        media_type: "application/json",
        secret: "Co6SeNBEtTTHMjMzmlbb7M",
        sign: |secret, url, body| STANDARD.encode(sha256(secret, &[url.as_bytes(), body])),
        is_url_signed: true,
    },
];

fn sha256(secret: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(&parts.concat());
    mac.finalize().into_bytes().to_vec()
}

fn sha1(secret: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(&parts.concat());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The parameters of a form that is in order, has no name twice and nothing to decode.
fn without_marks(form: &[u8]) -> Vec<u8> {
    form.iter().copied().filter(|byte| !b"&=".contains(byte)).collect()
}

impl Signer {
    /// A delivery of this body, signed with this secret.
    fn send(&self, secret: &str, body: &[u8]) -> Sent {
        let url = "https://acme.example.test/webhooks/x?a=1".to_owned();
        let signature = (self.sign)(secret, &url, body);
        let headers =
            [("Host", "elsewhere.example.test"), ("Content-Type", self.media_type), (self.header, &signature)];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec();
        Sent { rule: self.rule, method: "POST".to_owned(), url, headers, body: body.to_vec() }
    }

    /// A body as this provider sends it.
    fn body(&self) -> &'static [u8] {
        if self.is_twilio() {
            b"Body=2 (yes/no)!&CallSid=CA1&From=415555&NumMedia=0"
        } else {
            br#"{"id":"evt_1","n":[1,2]}"#
        }
    }

    fn is_twilio(&self) -> bool {
        matches!(self.rule, Rule::Twilio(_))
    }

    fn good(&self) -> Sent {
        self.send(self.secret, self.body())
    }
}

impl Sent {
    fn asked(&self, newest: &str, previous: Option<&str>, now: UnixMs) -> Result<SignedWith, Refusal> {
        self.with(newest, previous, |delivery, secrets| {
            verify(self.rule, delivery, secrets, now).map(|verified| verified.signed_with())
        })
    }

    fn with<T>(&self, newest: &str, previous: Option<&str>, ask: impl FnOnce(&Delivery<'_>, &Secrets<'_>) -> T) -> T {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let delivery = Delivery { method: &self.method, url: &self.url, headers: &headers, body: &self.body };
        let newest = Secret::new(newest.to_owned());
        let previous = previous.map(|previous| Secret::new(previous.to_owned()));
        ask(&delivery, &Secrets { newest: &newest, previous: previous.as_ref() })
    }

    /// What becomes of it with the one secret.
    fn verdict(&self, secret: &str) -> Result<(), Refusal> {
        self.asked(secret, None, NOW).map(drop)
    }

    /// The value of its last header, which signs it.
    fn signature(&mut self) -> &mut Vec<u8> {
        &mut self.headers.last_mut().unwrap().1
    }

    fn signed(mut self, signature: impl AsRef<[u8]>) -> Self {
        *self.signature() = signature.as_ref().to_vec();
        self
    }
}

/// Every text that differs from this one in a bit.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..8 * bytes.len()).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

#[test]
fn the_published_examples_are_judged_as_they_say() {
    let mut counted = [0; 2];
    for line in EXAMPLES.lines() {
        let example: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| example[name].as_str().unwrap().to_owned();
        let headers = example["headers"].as_object().unwrap().iter();
        let sent = Sent {
            rule: text("provider").parse::<Provider>().unwrap().rule(),
            method: text("method"),
            url: text("url"),
            headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().into())).collect(),
            body: STANDARD.decode(text("body_base64")).unwrap(),
        };
        let now = UnixMs::new(example["now_unix"].as_i64().unwrap() * 1_000);
        let told = sent.asked(&text("secret"), example["secret_previous"].as_str(), now);
        assert_eq!(told.is_ok(), example["expect"] == "accept", "{}: {told:?}", example["id"]);
        counted[usize::from(told.is_ok())] += 1;
    }
    assert_eq!(counted, [15, 10]);
}

#[test]
fn one_flipped_bit_anywhere_is_refused() {
    for signer in &SIGNERS {
        let (good, secret) = (signer.good(), signer.secret);
        assert_eq!(good.verdict(secret), Ok(()), "{:?}", signer.rule);
        for body in flips(&good.body) {
            let told = Sent { body: body.clone(), ..good.clone() }.verdict(secret);
            assert_eq!(told, Err(Refusal::WrongSecret), "{:?}: {}", signer.rule, String::from_utf8_lossy(&body));
        }
        for signature in flips(&good.clone().signature().clone()) {
            let told = good.clone().signed(&signature).verdict(secret);
            assert!(told.is_err(), "{:?}: {}", signer.rule, String::from_utf8_lossy(&signature));
        }
        for url in flips(good.url.as_bytes()).filter_map(|url| String::from_utf8(url).ok()) {
            let told = Sent { url: url.clone(), ..good.clone() }.verdict(secret);
            assert_eq!(told.is_err(), signer.is_url_signed, "{:?}: {url}", signer.rule);
        }
        for other in flips(secret.as_bytes()).filter_map(|secret| String::from_utf8(secret).ok()) {
            assert_eq!(good.verdict(&other), Err(Refusal::WrongSecret), "{:?}: {other}", signer.rule);
        }
    }
}

#[test]
fn while_a_secret_is_replaced_both_are_good_and_afterwards_one() {
    for signer in &SIGNERS {
        let (with_new, with_old) = (signer.send("new", signer.body()), signer.send("old", signer.body()));
        assert_eq!(with_new.asked("new", Some("old"), NOW), Ok(SignedWith::Newest));
        assert_eq!(with_old.asked("new", Some("old"), NOW), Ok(SignedWith::Previous));
        assert_eq!(with_old.asked("old", Some("old"), NOW), Ok(SignedWith::Newest));
        for (newest, previous) in [("new", None), ("new", Some("older")), ("", Some("")), ("OLD", Some("old "))] {
            assert_eq!(with_old.asked(newest, previous, NOW), Err(Refusal::WrongSecret), "{:?}", signer.rule);
        }
        for blank in ["", " ", "\n\t"] {
            let with_blank = signer.send(blank, signer.body());
            for (newest, previous) in [(blank, None), ("new", Some(blank)), (blank, Some("new"))] {
                assert_eq!(
                    with_blank.asked(newest, previous, NOW),
                    Err(Refusal::WrongSecret),
                    "a blank secret signs nothing"
                );
            }
        }
    }
}

#[test]
fn bodies_are_signed_byte_by_byte_whatever_they_are() {
    let long = vec![b'x'; 1 << 20];
    let texts = ["{\"name\":\"Zoë 🖨\"}".as_bytes(), b"\xff\xfe\0{", b"\r\n", &long];
    for signer in &SIGNERS {
        for body in texts {
            assert_eq!(signer.send(signer.secret, body).verdict(signer.secret), Ok(()), "{:?}", signer.rule);
        }
        let told = signer.send(signer.secret, b"").verdict(signer.secret);
        let wanted = if signer.is_twilio() { Ok(()) } else { Err(Refusal::EmptyBody) };
        assert_eq!(told, wanted, "{:?}", signer.rule);
    }
}

#[test]
fn names_of_headers_are_read_in_any_case_and_methods_are_not() {
    for signer in &SIGNERS {
        for case in [str::to_ascii_lowercase, str::to_ascii_uppercase] {
            let mut sent = signer.good();
            for (name, _) in &mut sent.headers {
                *name = case(name);
            }
            assert_eq!(sent.verdict(signer.secret), Ok(()), "{:?}", signer.rule);
        }
        for method in ["", "post", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"] {
            let sent = Sent { method: method.to_owned(), ..signer.good() };
            assert_eq!(sent.verdict(signer.secret), Err(Refusal::Method), "{:?}: {method}", signer.rule);
        }
        let told = Sent { method: "GET".to_owned(), ..signer.good() }.verdict(signer.secret);
        let wanted = if signer.is_twilio() { Refusal::BodyNotSigned } else { Refusal::Method };
        assert_eq!(told, Err(wanted), "{:?}", signer.rule);
    }
}

#[test]
fn where_a_url_is_signed_it_must_be_one() {
    for signer in SIGNERS.iter().filter(|signer| signer.is_url_signed) {
        for url in ["", "/webhooks/x", "acme.example.test/x", "ftp://acme.example.test/", "https://", "https:///x"] {
            let signature = (signer.sign)(signer.secret, url, signer.body());
            let sent = Sent { url: url.to_owned(), ..signer.good().signed(signature) };
            assert_eq!(sent.verdict(signer.secret), Err(Refusal::Url), "{:?}: {url}", signer.rule);
        }
    }
}

#[test]
fn nothing_of_a_delivery_or_a_secret_is_shown() {
    for signer in &SIGNERS {
        let shown = signer.good().with("cAnArY-new", Some("cAnArY-old"), |delivery, secrets| {
            let verified =
                verify(signer.rule, delivery, &Secrets { newest: &Secret::new(signer.secret.into()), ..*secrets }, NOW);
            format!("{delivery:?} {secrets:?} {verified:?}")
        });
        assert!(
            !["cAnArY", "evt_1", "415555", "v1=", "example.test"].iter().any(|part| shown.contains(part)),
            "{shown}"
        );
    }
}

#[test]
fn every_provider_has_one_name_and_one_rule() {
    for provider in Provider::ALL {
        assert_eq!(provider.as_str().parse(), Ok(provider));
        assert_eq!(provider.rule().provider(), provider);
    }
    for bad in ["", "Stripe", "stripe ", "paypal"] {
        assert_eq!(bad.parse::<Provider>(), Err(NoProvider), "{bad}");
    }
}

proptest! {
    /// Whatever is signed is accepted, and not when a byte of it is another.
    #[test]
    fn what_is_signed_is_accepted_and_nothing_else(
        which in 0..SIGNERS.len(), secret in "[!-~]{1,80}", body in prop::collection::vec(any::<u8>(), 1..200),
        at in any::<prop::sample::Index>(), other in any::<u8>(),
    ) {
        let signer = &SIGNERS[which];
        // What stands for a letter in a form is the business of the tests of forms.
        let plain = body.iter().map(|byte| if b"&=%+".contains(byte) { b'x' } else { *byte });
        let body: Vec<u8> = if signer.is_twilio() { plain.collect() } else { body };
        let sent = signer.send(&secret, &body);
        prop_assert_eq!(sent.verdict(&secret), Ok(()));
        let mut changed = sent.clone();
        let at = at.index(body.len());
        changed.body[at] = other;
        let means_the_same = signer.is_twilio() && b"&=%+".contains(&other);
        if changed.body != body && !means_the_same {
            prop_assert_eq!(changed.verdict(&secret), Err(Refusal::WrongSecret));
        }
        let mut shorter = sent;
        shorter.body.pop();
        prop_assert!(shorter.verdict(&secret).is_err());
    }

    /// Nothing that a stranger sends makes the rule fail otherwise than by a refusal.
    #[test]
    fn what_strangers_write_is_refused(which in 0..SIGNERS.len(), value in prop::collection::vec(any::<u8>(), 0..120), url in ".{0,40}") {
        let signer = &SIGNERS[which];
        prop_assert!(signer.good().signed(&value).verdict(signer.secret).is_err());
        let sent = Sent { url, ..signer.good().signed(&value) };
        prop_assert!(sent.verdict(signer.secret).is_err());
        sent.with(signer.secret, None, |delivery, secrets| explain(signer.rule, delivery, secrets, Refusal::WrongSecret));
    }
}
