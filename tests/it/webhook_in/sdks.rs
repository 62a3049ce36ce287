//! What the providers' own libraries sign is taken over HTTP, and once; see [`crate::webhooks`] for what they say of the rest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::signed::{
    QUICKBOOKS, SHOPIFY, SQUARE, STRIPE, Signed, TWILIO, quickbooks_changes, square_event, stripe_event,
};
use super::{Scene, refused, taken};
use crate::support::{Engine, Options};
use crate::webhooks::libraries;

const FORM: &[u8] = b"MessageSid=SM0123456789abcdef0123456789abcdef&MessageStatus=sent&Body=+Zo%C3%AB+%26%3D&Body=Zoe";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_libraries_sign_is_taken_over_http_and_once() {
    let mut scene = Scene::on(Options::new(Engine::Sqlite).limits_off()).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let sms = br#"{"Sid":"SM1","MessageSid":"SM1","Status":"sent"}"#.to_vec();
    let asked: Vec<Value> = [
        ("stripe", STRIPE, "application/json", stripe_event("evt_of_the_library")),
        ("twilio", TWILIO, "application/x-www-form-urlencoded", FORM.to_vec()),
        ("twilio", TWILIO, "application/json", sms),
        ("quickbooks", QUICKBOOKS, "application/json", quickbooks_changes(1)),
        ("shopify", SHOPIFY, "application/json", b"{\"id\": 820982911946154508}".to_vec()),
        ("square", SQUARE, "application/json", square_event("of-the-library")),
    ]
    .into_iter()
    .map(|(provider, secret, media_type, body)| {
        let url = format!("{}/webhooks/{provider}", scene.origin);
        json!({ "ask": "sign", "provider": provider, "secret": secret, "url": url, "media_type": media_type,
            "body_base64": STANDARD.encode(body), "now_unix": now })
    })
    .collect();
    let sent = libraries(&asked);
    assert_eq!(sent.len(), asked.len());
    for (asked, sent) in asked.iter().zip(sent) {
        let provider = SIGNERS.into_iter().find(|name| asked["provider"] == *name).unwrap();
        let url = sent["url"].as_str().unwrap();
        let query = url.strip_prefix(asked["url"].as_str().unwrap()).unwrap().to_owned();
        let headers = sent["headers"].as_object().unwrap().iter();
        let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        let body = STANDARD.decode(sent["body_base64"].as_str().unwrap()).unwrap();
        let signed = Signed { provider, query, headers, body };
        let before = scene.events().await.len();
        taken(&scene.post(&signed).await);
        taken(&scene.post(&signed).await);
        assert_eq!(scene.events().await.len(), before + 1, "{asked}");
        let mut changed = signed.clone();
        changed.body[2] ^= 1;
        refused(&scene.post(&changed).await);
    }
}

const SIGNERS: [&str; 5] = ["stripe", "twilio", "quickbooks", "shopify", "square"];
