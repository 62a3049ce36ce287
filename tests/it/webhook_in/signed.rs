//! Deliveries as providers sign them, by the providers' documentation and without a line of the server's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;

pub(crate) const STRIPE: &str = "whsec_canary0stripe0secret";
pub(crate) const CONNECT: &str = "whsec_canary0connect0secret";
pub(crate) const TWILIO: &str = "canary0twilio0auth0token00000000";
pub(crate) const QUICKBOOKS: &str = "canary0quickbooks0verifier0token";
pub(crate) const SHOPIFY: &str = "shpss_canary0shopify0secret";
pub(crate) const SQUARE: &str = "canary0square0signature0key";

/// Every source, with the secret that these tests set.
pub(crate) const SECRETS: [(&str, &str); 6] = [
    ("stripe", STRIPE),
    ("stripe-connect", CONNECT),
    ("twilio", TWILIO),
    ("quickbooks", QUICKBOOKS),
    ("shopify", SHOPIFY),
    ("square", SQUARE),
];

/// A request to `/webhooks/{provider}`.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) provider: &'static str,
    /// What follows the provider in the URL.
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Signed {
    fn new(provider: &'static str, body: Vec<u8>, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { provider, query: String::new(), headers, body }
    }
}

fn sha256(key: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Of Stripe, signed at this time.
pub(crate) fn stripe_at(secret: &str, body: &[u8], at_s: i64) -> Signed {
    let mac = sha256(secret, &[at_s.to_string().as_bytes(), b".", body]);
    let mac = mac.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let signature = format!("t={at_s},v1={mac}");
    Signed::new("stripe", body.to_vec(), &[("content-type", "application/json"), ("stripe-signature", &signature)])
}

/// Of Stripe, signed now.
pub(crate) fn stripe(secret: &str, body: &[u8]) -> Signed {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    stripe_at(secret, body, i64::try_from(now.as_secs()).unwrap())
}

/// An event of Stripe.
pub(crate) fn stripe_event(id: &str) -> Vec<u8> {
    let object = json!({ "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active" });
    stripe_event_of(id, "customer.subscription.updated", (None, 1_790_000_000), &object)
}

/// An event of Stripe of this kind, of this account, created at this second, about this object.
pub(crate) fn stripe_event_of(
    id: &str,
    kind: &str,
    (account, created_s): (Option<&str>, i64),
    object: &Value,
) -> Vec<u8> {
    let mut event = json!({ "id": id, "object": "event", "type": kind, "created": created_s, "livemode": false,
        "data": { "object": object } });
    if let Some(account) = account {
        event["account"] = account.into();
    }
    event.to_string().into_bytes()
}

/// Of Twilio: a form that came to this URL.
pub(crate) fn twilio(secret: &str, url: &str, parameters: &[(&str, &str)]) -> Signed {
    let mut sorted = parameters.to_vec();
    sorted.sort_unstable();
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let body = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("x-twilio-signature", signature.as_str())];
    Signed::new("twilio", body.into_bytes(), &headers)
}

/// Of QuickBooks.
pub(crate) fn quickbooks(secret: &str, body: &[u8]) -> Signed {
    let signature = STANDARD.encode(sha256(secret, &[body]));
    Signed::new("quickbooks", body.to_vec(), &[("content-type", "application/json"), ("intuit-signature", &signature)])
}

/// So many changes in one body of QuickBooks.
pub(crate) fn quickbooks_changes(count: usize) -> Vec<u8> {
    let change = |number: usize| {
        json!({ "name": "Invoice", "id": number.to_string(), "operation": "Update",
            "lastUpdated": "2026-11-27T10:00:00.000Z" })
    };
    let entities: Vec<_> = (0..count).map(change).collect();
    let body =
        json!({ "eventNotifications": [{ "realmId": "4620816365", "dataChangeEvent": { "entities": entities } }] });
    body.to_string().into_bytes()
}

/// Of Shopify, with this id of the delivery.
pub(crate) fn shopify(secret: &str, id: &str, body: &[u8]) -> Signed {
    let signature = STANDARD.encode(sha256(secret, &[body]));
    let headers = [
        ("content-type", "application/json"),
        ("x-shopify-hmac-sha256", signature.as_str()),
        ("x-shopify-topic", "orders/create"),
        ("x-shopify-shop-domain", "acme.myshopify.com"),
        ("x-shopify-api-version", "2026-10"),
        ("x-shopify-webhook-id", id),
    ];
    Signed::new("shopify", body.to_vec(), &headers)
}

/// Of Square, for this URL.
pub(crate) fn square(secret: &str, url: &str, body: &[u8]) -> Signed {
    let signature = STANDARD.encode(sha256(secret, &[url.as_bytes(), body]));
    let headers = [("content-type", "application/json"), ("x-square-hmacsha256-signature", signature.as_str())];
    Signed::new("square", body.to_vec(), &headers)
}

/// An event of Square.
pub(crate) fn square_event(id: &str) -> Vec<u8> {
    let event = json!({ "merchant_id": "6SSW7HV8K2ST5", "type": "payment.created", "event_id": id,
        "created_at": "2026-11-27T10:00:00.000Z", "data": {} });
    event.to_string().into_bytes()
}
