//! What is signed is kept as it came, sealed; what is not is refused without a word, and the admins learn why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::signed::{
    CONNECT, QUICKBOOKS, SHOPIFY, SQUARE, STRIPE, Signed, TWILIO, quickbooks, quickbooks_changes, shopify, square,
    square_event, stripe, stripe_at, stripe_event, twilio,
};
use super::{EVENTS, SOURCES, Scene, refused, taken, unheard};
use crate::support::{Conn, Engine, Options, on_both_engines};
use crate::tenants_apart::stolen;
use crate::watch::{set_limit, until};

on_both_engines! {
    what_every_provider_signs_is_kept_once_and_nothing_of_it_is_in_the_clear
    what_is_not_signed_is_refused_without_a_word_and_admins_learn_why
    a_secret_is_good_for_a_while_after_the_next_one
    a_tenant_that_is_out_of_service_is_tried_again_later
}

/// One of each source, that no other one fits.
fn deliveries(scene: &Scene) -> Vec<(Signed, &'static str)> {
    let (square_url, twilio_url) =
        (format!("{}/webhooks/square", scene.origin), format!("{}/webhooks/twilio?from=canary0query", scene.origin));
    let form = [("MessageSid", "SM0123456789abcdef0123456789abcdef"), ("MessageStatus", "delivered"), ("To", "1")];
    let mut of_twilio = twilio(TWILIO, &twilio_url, &form);
    "?from=canary0query".clone_into(&mut of_twilio.query);
    vec![
        (stripe(STRIPE, &stripe_event("evt_one")), "stripe"),
        (stripe(CONNECT, &stripe_event("evt_two")), "stripe-connect"),
        (of_twilio, "twilio"),
        (quickbooks(QUICKBOOKS, &quickbooks_changes(3)), "quickbooks"),
        (shopify(SHOPIFY, "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043", b"{\"canary0body\": 1}"), "shopify"),
        (square(SQUARE, &square_url, &square_event("6a8f5f28-54a1-4eb0-a98a-3111513fd4fc")), "square"),
    ]
}

async fn what_every_provider_signs_is_kept_once_and_nothing_of_it_is_in_the_clear(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    let deliveries = deliveries(&scene);
    for round in 0..3 {
        for (signed, source) in &deliveries {
            let mut signed = signed.clone();
            if round == 1 {
                // Nothing that a browser would add counts here.
                let added = [("origin", "https://evil.test"), ("cookie", "__Host-freehold-refresh=x")];
                signed.headers.extend(added.map(|(name, value)| (name.to_owned(), value.to_owned())));
            }
            taken(&scene.post(&signed).await);
            let events = scene.events().await;
            let of_source = events.iter().filter(|event| event["source"] == *source);
            let repeated: Vec<_> = of_source.map(|event| event["repeated"].as_i64().unwrap()).collect();
            let count = if *source == "quickbooks" { 3 } else { 1 };
            assert_eq!(repeated, vec![round; count], "{source}");
        }
    }
    let events = scene.events().await;
    let of = |source: &str| events.iter().find(|event| event["source"] == source).unwrap();
    let (one, order) = (of("stripe"), of("shopify"));
    assert_eq!((&one["event_id"], &one["kind"]), (&json!("evt_one"), &json!("customer.subscription.updated")));
    assert_eq!((&one["provider"], &one["happened_at"]), (&json!("stripe"), &json!("2026-09-21T14:13:20Z")));
    assert_eq!(order["account"], "acme.myshopify.com");
    for (signed, source) in &deliveries {
        let path = format!("{EVENTS}/{}", of(source)["id"].as_str().unwrap());
        let shown = scene.conn.get(&path, Some(&scene.ada.access)).await;
        assert_eq!(shown.is(200).header("cache-control"), Some("no-store"));
        let body = STANDARD.decode(shown.json()["body_base64"].as_str().unwrap()).unwrap();
        assert_eq!(body, signed.body, "{source}");
    }

    // Whoever has the store has none of it, and what is shown is no secret.
    let shown = scene.get(SOURCES).await.to_string();
    assert!(!shown.contains("canary"), "{shown}");
    for (place, bytes) in stolen(&scene.server, engine).await {
        for needle in ["canary0", "whsec_", "shpss_", "canary0body"] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle.as_bytes()), "{place}: {needle}");
        }
    }
    assert!(!scene.server.log().contains("canary0"), "the log");
    for action in ["webhook_secret.set"] {
        let log = crate::audit::log(&mut scene.conn, &scene.ada.access).await;
        let rows = log.iter().filter(|row| row["action"] == action);
        let sources: Vec<_> = rows.map(|row| row["source"].as_str().unwrap().to_owned()).collect();
        assert_eq!(sources, ["stripe", "stripe-connect", "twilio", "quickbooks", "shopify", "square"]);
    }
    assert!(scene.server.cli(&["audit", "verify", "acme"], "").status.success());

    // Another tenant's secrets are others, and so are its events.
    let globex = scene.server.tenant("globex");
    let mut elsewhere = Conn::to(&scene.server, &globex).await;
    let greta = elsewhere.sign_in(&globex).await;
    refused(&super::post(&mut elsewhere, &deliveries[0].0).await.unwrap());
    assert_eq!(elsewhere.get(EVENTS, Some(&greta.access)).await.is(200).json()["items"], json!([]));
    let theirs = format!("{EVENTS}/{}", one["id"].as_str().unwrap());
    elsewhere.get(&theirs, Some(&greta.access)).await.is_problem(404, "not-found");
}

async fn what_is_not_signed_is_refused_without_a_word_and_admins_learn_why(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    let deliveries = deliveries(&scene);
    for (signed, source) in &deliveries {
        let mut bare = signed.clone();
        bare.headers.retain(|(name, _)| !name.contains("signature") && !name.contains("hmac"));
        refused(&scene.post(&bare).await);
        let mut changed = signed.clone();
        *changed.body.last_mut().unwrap() ^= 1;
        refused(&scene.post(&changed).await);
        let mut twice = signed.clone();
        let header =
            twice.headers.iter().find(|(name, _)| name.contains("signature") || name.contains("hmac")).unwrap();
        twice.headers.push(header.clone());
        refused(&scene.post(&twice).await);
        let mut empty = signed.clone();
        empty.body.clear();
        refused(&scene.post(&empty).await);
        let provider = signed.provider;
        let (causes, _) = until("the causes are told", async || {
            let causes = scene.causes(provider).await;
            let wanted = ["no-signature", "two-signatures"];
            wanted.iter().all(|cause| causes.iter().any(|told| told == cause)).then_some(causes)
        })
        .await;
        assert!(causes.len() >= 3, "{source}: {causes:?}");
    }
    // A secret of another source of the same provider does not fit, nor does the right one at another time.
    let now = 1_790_000_000;
    refused(&scene.post(&stripe_at(STRIPE, &stripe_event("evt_old"), now)).await);
    refused(&scene.post(&stripe("whsec_somebody_elses_0123456789", &stripe_event("evt_other"))).await);
    // What is signed and says nothing is no event.
    unheard(&scene.post(&quickbooks(QUICKBOOKS, b"{}")).await);
    unheard(&scene.post(&stripe(STRIPE, b"not JSON")).await);
    // The URL is the tenant's own, whatever a request says of itself. Why is looked at closer once in ten seconds.
    scene.server.clock_ahead(11).await;
    let slash = format!("{}/webhooks/square/", scene.origin);
    refused(&scene.post(&square(SQUARE, &slash, &square_event("slash"))).await);
    let url = format!("{}/webhooks/square", scene.origin).replace("acme", "globex");
    refused(&scene.post(&square(SQUARE, &url, &square_event("elsewhere"))).await);
    let mut forwarded = square(SQUARE, "https://evil.test/webhooks/square", &square_event("evil"));
    forwarded.headers.push(("x-forwarded-host".to_owned(), "evil.test".to_owned()));
    refused(&scene.post(&forwarded).await);
    // Written anew on its way: told, because the secret fits what was sent.
    let mut anew = stripe(STRIPE, b"{\"id\":\"evt_anew\"}");
    anew.body = b"{ \"id\": \"evt_anew\" }".to_vec();
    refused(&scene.post(&anew).await);
    for (provider, cause) in
        [("stripe", "too-old"), ("stripe", "no-event"), ("quickbooks", "no-event"), ("square", "other-url")]
    {
        until(cause, async || scene.causes(provider).await.iter().any(|told| told == cause).then_some(())).await;
    }
    assert_eq!(scene.events().await, Vec::<Value>::new());

    // Nobody sets a secret for this provider any more: it is refused like the rest.
    let path = format!("{SOURCES}/square");
    scene.conn.call("DELETE", &path, Some(&scene.ada.access)).await.is(204);
    scene.conn.call("DELETE", &path, Some(&scene.ada.access)).await.is_problem(404, "not-found");
    refused(&scene.post(&deliveries[5].0).await);
    until("no-secret", async || scene.causes("square").await.iter().any(|told| told == "no-secret").then_some(()))
        .await;
    // What is nobody's is not there.
    let mut unknown = deliveries[0].0.clone();
    unknown.provider = "paypal";
    scene.post(&unknown).await.is_problem(404, "not-found");
    scene.conn.get("/webhooks/stripe", None).await.is_problem(405, "method-not-allowed");
}

async fn a_secret_is_good_for_a_while_after_the_next_one(engine: Engine) {
    const NEXT: &str = "whsec_the_next_one_0123456789_one";
    const LAST: &str = "whsec_the_last_one_0123456789";
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    let event = |n: u32| stripe_event(&format!("evt_{n}"));
    let set = scene.set("stripe", &json!({ "secret": NEXT, "overlap_s": 60 })).await.is(200).json();
    assert_eq!(set["last4"], "_one");
    assert!(set["previous_until"].is_string(), "{set}");
    // Repeating changes nothing, and makes nothing longer.
    for again in [json!({ "secret": NEXT }), json!({ "secret": NEXT, "overlap_s": 600 })] {
        assert_eq!(scene.set("stripe", &again).await.is(200).json(), set);
    }
    taken(&scene.post(&stripe(STRIPE, &event(1))).await);
    taken(&scene.post(&stripe(NEXT, &event(2))).await);
    scene.server.clock_ahead(61).await;
    refused(&scene.post(&stripe(STRIPE, &event(3))).await);
    taken(&scene.post(&stripe(NEXT, &event(3))).await);

    scene.set("stripe", &json!({ "secret": LAST, "overlap_s": 0 })).await.is(200);
    refused(&scene.post(&stripe(NEXT, &event(4))).await);
    taken(&scene.post(&stripe(LAST, &event(4))).await);
    scene.set("stripe", &json!({ "secret": NEXT })).await.is(200);
    scene.set("stripe", &json!({ "secret": STRIPE })).await.is(200);
    taken(&scene.post(&stripe(NEXT, &event(6))).await);
    // It can be ended earlier, by saying so of the one in force.
    let shorter = scene.set("stripe", &json!({ "secret": STRIPE, "overlap_s": 30 })).await.is(200).json();
    assert!(shorter["previous_until"].is_string(), "{shorter}");
    taken(&scene.post(&stripe(NEXT, &event(7))).await);
    let ended = scene.set("stripe", &json!({ "secret": STRIPE, "overlap_s": 0 })).await.is(200).json();
    assert_eq!((&ended["previous_until"], &ended["set_at"]), (&Value::Null, &shorter["set_at"]));
    refused(&scene.post(&stripe(NEXT, &event(8))).await);
    taken(&scene.post(&stripe(STRIPE, &event(8))).await);
    refused(&scene.post(&stripe(LAST, &event(5))).await); // one before the last is good no more

    for (body, source, field) in [
        (json!({ "secret": "sk_live_0123456789" }), "stripe", "secret"),
        (json!({ "secret": "short" }), "square", "secret"),
        (json!({ "secret": "white space in it" }), "square", "secret"),
        (json!({ "secret": "********************" }), "shopify", "secret"),
        (json!({}), "square", "secret"),
        (json!({ "secret": SQUARE, "overlap_s": 604_801 }), "square", "overlap_s"),
        (json!({ "secret": SQUARE, "other": 1 }), "square", "other"),
    ] {
        let answer = scene.set(source, &body).await;
        answer.is_problem(400, "validation");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("sk_live"), "{answer:?}");
    }
    scene.set("paypal", &json!({ "secret": SQUARE })).await.is_problem(404, "not-found");
    scene.server.clock_ahead(301).await;
    scene.set("stripe", &json!({ "secret": LAST })).await.is_problem(403, "forbidden"); // the session is not fresh
}

async fn a_tenant_that_is_out_of_service_is_tried_again_later(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    let signed = stripe(STRIPE, &stripe_event("evt_one"));
    for (verb, undo) in [("suspend", "resume"), ("freeze", "resume"), ("hold", "resume"), ("drain", "resume")] {
        assert!(scene.server.cli(&["tenant", verb, "acme"], "").status.success());
        let answer = scene.post(&signed).await;
        assert_eq!(answer.status.as_u16(), 503, "{verb}: {answer:?}");
        assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1, "{verb}");
        assert!(scene.server.cli(&["tenant", undo, "acme"], "").status.success());
    }
    assert_eq!(scene.events().await, Vec::<Value>::new());
    taken(&scene.post(&signed).await);
}

/// What is not signed uses up nothing; each provider has a bucket of its own in each tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_uses_up_nothing_of_a_providers() {
    let mut scene = Scene::on(Options::new(Engine::Sqlite).limits_off()).await;
    set_limit(&scene.server, "acme", "webhook-in", "3/h");
    let event = |n: u32| stripe_event(&format!("evt_{n}"));
    for n in 0..20 {
        refused(&scene.post(&stripe("whsec_somebody_elses_0123456789", &event(n))).await);
    }
    for n in 0..3 {
        let answer = scene.post(&stripe(STRIPE, &event(n))).await;
        taken(&answer);
        assert_eq!(answer.header("x-ratelimit-tier"), Some("webhook-in"));
    }
    let answer = scene.post(&stripe(STRIPE, &event(3))).await;
    answer.is_problem(429, "rate-limited");
    assert!(answer.header("retry-after").is_some());
    let url = format!("{}/webhooks/square", scene.origin);
    taken(&scene.post(&square(SQUARE, &url, &square_event("one"))).await);
    assert_eq!(scene.events().await.len(), 4);
}

/// As large as a body may be, and of more events than one.
#[tokio::test(flavor = "multi_thread")]
async fn a_megabyte_is_kept_and_more_is_not() {
    let mut scene = Scene::on(Options::new(Engine::Sqlite).limits_off()).await;
    let padded = |bytes: usize| {
        let mut body = stripe_event(&format!("evt_{bytes}"));
        body.resize(bytes, b' ');
        stripe(STRIPE, &body)
    };
    taken(&scene.post(&padded(1_000_000)).await);
    taken(&scene.post(&padded(1_048_576)).await);
    let mut conn = Conn::to(&scene.server, &scene.acme).await;
    if let Some(answer) = super::post(&mut conn, &padded(1_048_577)).await {
        answer.is_problem(413, "payload-too-large"); // else it was cut off before it had sent all of it
    }
    taken(&scene.post(&quickbooks(QUICKBOOKS, &quickbooks_changes(1_000))).await);
    unheard(&scene.post(&quickbooks(QUICKBOOKS, &quickbooks_changes(1_001))).await);
    assert_eq!(scene.events().await.len(), 1_002);
}

/// A body of Shopify's says what is signed; its headers can be anybody's.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_shopify_comes_once_whatever_its_headers_say() {
    let mut scene = Scene::on(Options::new(Engine::Sqlite).limits_off()).await;
    taken(&scene.post(&shopify(SHOPIFY, "one", b"{\"id\": 1}")).await);
    taken(&scene.post(&shopify(SHOPIFY, "two", b"{\"id\": 1}")).await);
    taken(&scene.post(&shopify(SHOPIFY, "one", b"{\"id\": 2}")).await);
    let events = scene.events().await;
    let told: Vec<_> = events.iter().map(|event| (&event["event_id"], event["repeated"].as_i64().unwrap())).collect();
    assert_eq!(told, [(&json!("one"), 1), (&json!("one"), 0)]);
}
