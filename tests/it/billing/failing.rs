//! A Stripe that fails: nothing is made twice, nobody waits long, and nobody else is the worse for it.

use serde_json::json;

use super::fake::Mode;
use super::{CHECKOUT, Scene};
use crate::support::{Conn, Engine, on_both_engines};

on_both_engines! {
    a_customer_who_is_gone_at_stripe_is_made_anew
    what_was_made_and_never_answered_is_not_made_again
    a_stripe_that_fails_is_left_alone_by_that_tenant
}

async fn what_was_made_and_never_answered_is_not_made_again(engine: Engine) {
    let mut scene =
        Scene::with(engine, &[("FREEHOLD_BREAKERS_FAILURES", "100"), ("FREEHOLD_BREAKERS_PERCENT", "100")]).await;
    // The answer is lost: it was made, and nobody knows.
    scene.fake.mode(Mode::Loses);
    scene.checkout("pro").await.is_problem(503, "unavailable");
    let lost = scene.fake.calls_of("POST", "/v1/customers");
    assert_eq!((lost.len(), &lost[0].once), (2, &lost[1].once), "asked twice, under one key");
    scene.fake.mode(Mode::Gateway);
    scene.checkout("pro").await.is_problem(503, "unavailable");
    scene.fake.mode(Mode::IsBusy);
    scene.checkout("pro").await.is_problem(503, "unavailable");
    scene.server = scene.server.restarted();
    scene.reconnect().await;
    scene.fake.mode(Mode::Good);
    scene.checkout("pro").await.is(200);
    let customers = scene.fake.calls_of("POST", "/v1/customers");
    assert!(customers.iter().all(|call| call.once == lost[0].once), "{customers:?}");
    assert_eq!(scene.fake.calls_of("POST", "/v1/checkout/sessions")[0].form["customer"], "cus_1");

    // What was answered, Stripe answers again under that key: the next try has another.
    scene.fake.mode(Mode::Fails);
    scene.post("/v1/payouts/account/onboarding").await.is_problem(503, "unavailable");
    scene.fake.mode(Mode::Refuses);
    scene.post("/v1/payouts/account/onboarding").await.is_problem(503, "unavailable");
    scene.fake.mode(Mode::TalksHtml);
    scene.post("/v1/payouts/account/onboarding").await.is_problem(503, "unavailable");
    scene.fake.mode(Mode::Good);
    scene.post("/v1/payouts/account/onboarding").await.is(200);
    let mut keys: Vec<_> = scene.fake.calls_of("POST", "/v1/accounts").into_iter().map(|call| call.once).collect();
    keys.dedup();
    assert_eq!(keys.len(), 3, "after a failure, after a refusal; what nobody could read is asked again: {keys:?}");
}

async fn a_customer_who_is_gone_at_stripe_is_made_anew(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.checkout("pro").await.is(200);
    scene.fake.loses("cus_1");
    scene.post(super::PORTAL).await.is_problem(404, "not-found");
    scene.checkout("pro").await.is(200);
    let made = scene.fake.calls_of("POST", "/v1/customers");
    assert!(made.len() == 2 && made[0].once != made[1].once, "{made:?}");
    // And where nobody asked for the portal first.
    let second = scene.fake.calls_of("POST", "/v1/checkout/sessions").last().unwrap().form["customer"].clone();
    scene.fake.loses(&second);
    scene.checkout("business").await.is(200);
    scene.post(super::PORTAL).await.is(200);
    assert_eq!(scene.fake.calls_of("POST", "/v1/customers").len(), 3);
}

async fn a_stripe_that_fails_is_left_alone_by_that_tenant(engine: Engine) {
    let mut scene =
        Scene::with(engine, &[("FREEHOLD_BREAKERS_FAILURES", "3"), ("FREEHOLD_BREAKERS_PAUSE_S", "30")]).await;
    let globex = scene.server.tenant("globex");
    let mut elsewhere = Conn::to(&scene.server, &globex).await;
    let greta = elsewhere.sign_in(&globex).await;
    scene.fake.mode(Mode::Fails);
    for _ in 0..3 {
        scene.checkout("pro").await.is_problem(503, "unavailable");
    }
    let before = scene.fake.calls().len();
    scene.fake.mode(Mode::Good);
    let refused = scene.checkout("pro").await;
    refused.is_problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(scene.fake.calls().len(), before, "it is left alone");
    let breakers = scene.get("/v1/breakers").await.is(200).json();
    let mine = breakers["items"].as_array().unwrap().iter().find(|breaker| breaker["name"] == "stripe:api");
    assert_eq!(mine.unwrap()["state"], "open", "{breakers}");
    elsewhere.post(CHECKOUT, Some(&greta.access), &json!({ "plan": "pro" })).await.is(200);
    scene.server.clock_ahead(70).await;
    scene.checkout("pro").await.is(200);
    scene.checkout("pro").await.is(200);

    // One that asks for time is given it, and one that hangs is not waited for for long.
    scene.fake.mode(Mode::Limits);
    for _ in 0..3 {
        scene.checkout("pro").await.is_problem(503, "unavailable");
    }
    let before = scene.fake.calls().len();
    scene.checkout("pro").await.is_problem(503, "unavailable");
    assert_eq!(scene.fake.calls().len(), before);
    scene.fake.mode(Mode::Hangs);
    let since = std::time::Instant::now();
    elsewhere.post(CHECKOUT, Some(&greta.access), &json!({ "plan": "pro" })).await.is_problem(503, "unavailable");
    assert!(since.elapsed().as_secs() < 20, "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_cannot_be_sold() {
    let scene = Scene::start(Engine::Sqlite).await;
    let seen = |settings: &[(&str, &str)]| {
        let (_, found) = tokio::task::block_in_place(|| scene.server.doctor(settings));
        let mine: Vec<_> = found.into_iter().filter(|finding| finding["check"] == "stripe").collect();
        mine.iter()
            .map(|finding| (finding["ok"].clone(), finding["found"].as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    let found = seen(&[]);
    assert_eq!(found[0], (json!(true), "pro is sold for price_pro".to_owned()));
    assert!(found[1].0 == false && found[1].1.contains("resource_missing"), "{found:?}");
    let found = seen(&[("FREEHOLD_BILLING_PRICE_PRO", "price_once")]);
    assert!(found[0].0 == false && found[0].1.contains("not recurring"), "{found:?}");
    let found = seen(&[("FREEHOLD_BILLING_STRIPE_SECRET_KEY", "sk_cAnArY0wrong")]);
    assert!(
        found.iter().all(|(ok, found)| *ok == false && found.contains("401") && !found.contains("cAnArY")),
        "{found:?}"
    );
    let server = crate::support::Server::start(crate::support::Options::new(Engine::Sqlite)).await;
    let (_, found) = tokio::task::block_in_place(|| server.doctor(&[]));
    assert!(found.iter().any(|finding| finding["check"] == "stripe" && finding["ok"] == true), "{found:?}");
}
