//! Buying a plan, changing it, and losing it.

use serde_json::{Value, json};

use super::fake::{CANARY, KEY};
use super::{CHECKOUT, DELETED, PLAN, PORTAL, Scene, UPDATED, now_s, with};
use crate::operators;
use crate::support::{Conn, Engine, Options, Server, on_both_engines};
use crate::tenants_apart::stolen;

on_both_engines! {
    a_plan_is_bought_changed_and_lost_by_what_webhooks_tell
    nobody_pays_twice
    one_customer_is_made_however_many_ask
    nothing_but_ids_is_kept_of_what_stripe_tells
}

async fn a_plan_is_bought_changed_and_lost_by_what_webhooks_tell(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    let free = scene.plan().await;
    assert_eq!((&free["plan"], &free["subscriptions"]), (&json!("free"), &json!([])));
    let quotas = json!([
        { "quota": "members", "used": 1, "limit": 2 },
        { "quota": "api_keys", "used": 0, "limit": 1 },
        { "quota": "webhook_endpoints", "used": 0, "limit": 0 },
    ]);
    assert_eq!(free["quotas"], quotas);
    scene.post(PORTAL).await.is_problem(404, "not-found");

    let url = scene.checkout("pro").await.is(200).json()["url"].as_str().unwrap().to_owned();
    let subscription = scene.fake.pay(&url);
    assert_eq!(scene.plan().await["plan"], "free", "what a browser did counts for nothing");
    let at = now_s();
    scene.tell(super::CREATED, at, &subscription).await;
    scene.is_on("pro").await;
    let pro = scene.plan().await;
    assert_eq!((&pro["quotas"][0]["limit"], &pro["quotas"][2]["limit"]), (&json!(4), &json!(2)));
    let [sub] = &pro["subscriptions"].as_array().unwrap()[..] else { panic!("{pro}") };
    assert_eq!((&sub["id"], &sub["status"], &sub["plan"]), (&subscription["id"], &json!("active"), &json!("pro")));
    assert!(sub["current_period_end"].is_string() && sub["cancel_at_period_end"] == false, "{sub}");

    // Up, in the portal; and what is told late or twice changes nothing.
    let portal = scene.post(PORTAL).await.is(200).json()["url"].as_str().unwrap().to_owned();
    assert!(portal.contains("/portal/cus_"), "{portal}");
    let items = subscription["items"].clone();
    let business = with(&subscription, "items", {
        let mut items = items;
        items["data"][0]["price"]["id"] = json!("price_business");
        items
    });
    scene.tell(UPDATED, at + 10, &business).await;
    scene.is_on("business").await;
    assert_eq!(scene.plan().await["quotas"][0]["limit"], Value::Null);
    for _ in 0..2 {
        scene.tell(UPDATED, at + 5, &subscription).await;
        scene.all_done().await;
        assert_eq!(scene.plan().await["plan"], "business");
    }

    // A payment fails: the plan goes on for its grace, counted from what was paid for, and not from the event.
    let past_due = with(&business, "status", json!("past_due"));
    scene.tell(UPDATED, at + 20, &past_due).await;
    scene.all_done().await;
    let grace = scene.plan().await;
    assert_eq!((&grace["plan"], &grace["subscriptions"][0]["status"]), (&json!("business"), &json!("past_due")));
    scene.server.clock_ahead(6 * 86_400).await;
    scene.ada = scene.conn.sign_in(&scene.acme).await;
    assert_eq!(scene.plan().await["plan"], "business");
    scene.server.clock_ahead(86_400 + 60).await;
    scene.ada = scene.conn.sign_in(&scene.acme).await;
    assert_eq!(scene.plan().await["plan"], "free", "a week after what was paid for");
    scene.checkout("pro").await.is_problem(409, "already-subscribed");
    scene.tell(UPDATED, at + 30, &with(&business, "status", json!("active"))).await;
    scene.is_on("business").await;
    scene.tell(UPDATED, at + 40, &with(&business, "status", json!("unpaid"))).await;
    scene.is_on("free").await;
    scene.tell(UPDATED, at + 50, &business).await;
    scene.is_on("business").await;

    scene.tell(DELETED, at + 60, &with(&business, "status", json!("canceled"))).await;
    scene.is_on("free").await;
    scene.tell(UPDATED, at + 70, &business).await;
    scene.all_done().await;
    assert_eq!(scene.plan().await["plan"], "free", "what has ended stays so");
    scene.buy("pro").await;

    let changes = scene.logged().await.iter().filter(|action| *action == "plan.changed").count();
    assert_eq!(changes, 7, "free, pro, business, (its grace ran out unheard,) business, free, business, free, pro");
    assert!(scene.logged().await.contains(&"plan.portal_opened".to_owned()));
}

async fn nobody_pays_twice(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    for (plan, field) in [("free", "plan"), ("Pro", "plan"), ("", "plan")] {
        let told = scene.checkout(plan).await;
        told.is_problem(400, "validation");
        assert_eq!(told.json()["errors"][0]["field"], field);
    }
    assert!(scene.fake.calls().is_empty());
    let first = scene.checkout("pro").await.is(200).json()["url"].clone();
    let second = scene.checkout("business").await.is(200).json()["url"].clone();
    assert_ne!(first, second);
    assert_eq!(scene.fake.open_pages(), 1, "the page before is closed");
    let subscription = scene.fake.pay(second.as_str().unwrap());
    scene.tell(super::CREATED, now_s(), &subscription).await;
    scene.is_on("business").await;
    let before = scene.fake.calls().len();
    for plan in ["pro", "business"] {
        scene.checkout(plan).await.is_problem(409, "already-subscribed");
    }
    assert_eq!(scene.fake.calls().len(), before, "nobody was asked");

    // What was begun and never paid is no obstacle, and the customer is the same.
    scene.tell(DELETED, now_s() + 1, &subscription).await;
    scene.is_on("free").await;
    scene.checkout("pro").await.is(200);
    assert_eq!(scene.fake.calls_of("POST", "/v1/customers").len(), 1);
}

async fn one_customer_is_made_however_many_ask(engine: Engine) {
    let scene = Scene::start(engine).await;
    let buy = async || {
        let mut conn = Conn::to(&scene.server, &scene.acme).await;
        conn.post(CHECKOUT, Some(&scene.ada.access), &json!({ "plan": "pro" })).await.status.as_u16()
    };
    let asked = tokio::join!(buy(), buy(), buy(), buy(), buy(), buy());
    assert_eq!(asked, (200, 200, 200, 200, 200, 200));
    let made = scene.fake.calls_of("POST", "/v1/customers");
    let pages = scene.fake.calls_of("POST", "/v1/checkout/sessions");
    assert!(made.iter().all(|call| call.once == made[0].once), "one key: {made:?}");
    assert!(pages.iter().all(|call| call.form["customer"] == "cus_1"), "{pages:?}");
    let mut keys: Vec<_> = pages.iter().map(|call| &call.once).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 6, "each page is a thing of its own");
}

async fn nothing_but_ids_is_kept_of_what_stripe_tells(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.buy("pro").await;
    scene.post(PORTAL).await.is(200);
    scene.post("/v1/payouts/account/onboarding").await.is(200);
    scene.fake.pays_out(&[100]);
    scene.get("/v1/payouts").await.is(200);
    scene.all_done().await;
    for (place, bytes) in stolen(&scene.server, engine).await {
        for needle in [CANARY, KEY, "cAnArY", "pm_"] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle.as_bytes()), "{place}: {needle}");
        }
    }
    let log = scene.server.log();
    assert!(!log.contains("cAnArY") && !log.contains("/pay/cs_") && !log.contains("/onboard/"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_sold_nothing_is_bounded_or_bought() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let ada = conn.sign_in(&acme).await;
    let shown = conn.get(PLAN, Some(&ada.access)).await.is(200).json();
    assert_eq!((&shown["plan"], &shown["subscriptions"]), (&Value::Null, &json!([])));
    assert!(shown["quotas"].as_array().unwrap().iter().all(|quota| quota["limit"].is_null()), "{shown}");
    conn.post(CHECKOUT, Some(&ada.access), &json!({ "plan": "pro" })).await.is_problem(404, "not-found");
    for path in [PORTAL, "/v1/payouts/account/onboarding", "/v1/payouts/account/dashboard"] {
        conn.call("POST", path, Some(&ada.access)).await.is_problem(404, "not-found");
    }
    for path in ["/v1/payouts", "/v1/payouts/account"] {
        conn.get(path, Some(&ada.access)).await.is_problem(404, "not-found");
    }
    let page = conn.get("/billing/return?session_id=cs_1", None).await;
    assert_eq!(page.is(200).header("cache-control"), Some("no-store"));
    // The platform sells; it is sold nothing.
    let platform = operators::platform(&server).await;
    let mut conn = Conn::to(&server, &platform).await;
    let olga = conn.sign_in(&platform).await;
    conn.get(PLAN, Some(&olga.access)).await.is_problem(404, "not-found");
}
