//! A shop of Shopify's: by the shop that was begun with and signed for, at an address that may be called, refreshed and taken away.

use serde_json::{Value, json};

use super::fake::shopify::{DOMAIN, Parameters, mac, query, signed};
use super::fake::{CANARY, Mode};
use super::{HOME, LIST, Scene, is_stored};
use crate::oauth::Browser;
use crate::support::{Answer, Conn, Engine, Session, on_both_engines};
use crate::watch::until;

const ONE: &str = "one.myshopify.test";
const RETURN: &str = "/integrations/return";
/// Into the last five minutes of an hour.
const NEARLY_S: u64 = 3_301;

on_both_engines! {
    a_shop_is_connected_tried_refreshed_and_disconnected
    what_is_no_shop_is_named_and_nobody_asked
    only_what_shopify_signed_now_for_the_shop_that_began_connects_it
    a_shop_that_leads_elsewhere_is_not_called
    what_a_shop_refuses_connects_nothing
    a_shop_that_fails_keeps_its_token_and_one_that_is_over_is_told
    a_lost_answer_of_a_shop_costs_nothing
    a_token_of_a_shop_that_does_not_end_is_kept_as_it_is
    two_tenants_connect_one_shop
}

/// Begins at home with this body.
async fn begin(browser: &mut Browser, session: &Session, (home, name): (&str, &str), body: &Value) -> Answer {
    let bearer = format!("Bearer {}", session.access);
    let headers = [("authorization", bearer.as_str()), ("origin", home), ("content-type", "application/json")];
    let url = format!("{home}{LIST}/{name}/connect");
    browser.send("POST", &url, &headers, body.to_string().as_bytes()).await
}

/// From the beginning at home to what Shopify sends back, unsigned, and where to.
async fn allowed(scene: &Scene, browser: &mut Browser, shop: &str) -> (String, Parameters) {
    let started = begin(browser, &scene.ada, (HOME, "shopify"), &json!({ "shop": shop })).await;
    scene.fake.consents(started.is(200).json()["authorization_url"].as_str().unwrap())
}

/// Connects a shop as somebody who allows it; the page where that ends.
async fn connect(scene: &Scene, browser: &mut Browser, shop: &str) -> Answer {
    let (to, parameters) = allowed(scene, browser, shop).await;
    let address = browser.follow(&signed(&to, &parameters), RETURN).await;
    browser.get(&address).await
}

async fn connected(engine: Engine) -> (Scene, Browser) {
    let scene = Scene::start(engine).await;
    let mut browser = Browser::new(scene.server.http);
    connect(&scene, &mut browser, "one").await.is(200);
    (scene, browser)
}

async fn asked(scene: &Scene, what: &str, times: usize) {
    until(&format!("{what} is asked {times} times"), async || (scene.fake.asked(what) == times).then_some(())).await;
}

async fn works(scene: &mut Scene) {
    let works = scene.check("shopify").await.is(200).json();
    assert_eq!(works, json!({ "works": true, "outcome": "ok", "status": 200 }));
}

/// The clock is past this many seconds, and Ada signs in anew: what is asked next takes a fresh session.
async fn later(scene: &mut Scene, seconds: u64) {
    scene.server.clock_ahead(seconds).await;
    scene.ada = scene.conn.sign_in(&scene.acme).await;
}

async fn a_shop_is_connected_tried_refreshed_and_disconnected(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    let before = scene.shown("shopify").await;
    let wanted = json!({ "name": "shopify", "opened_by": "oauth", "available": true, "connected": null });
    assert_eq!(before, wanted);
    let mut browser = Browser::new(scene.server.http);
    let page = connect(&scene, &mut browser, ONE).await;
    assert!(String::from_utf8_lossy(&page.is(200).body).contains("<code>shopify</code> is connected"));
    let shown = scene.shown("shopify").await["connected"].clone();
    assert_eq!((&shown["state"], &shown["account"]), (&json!("connected"), &json!(ONE)));
    assert!(shown["ends_at"].is_string(), "{shown}");
    works(&mut scene).await;

    later(&mut scene, NEARLY_S).await;
    asked(&scene, "sh refresh_token", 1).await;
    let last4 = async |scene: &mut Scene| scene.shown("shopify").await["connected"]["last4"].clone();
    until("it is kept", async || (last4(&mut scene).await != shown["last4"]).then_some(())).await;
    works(&mut scene).await;
    assert_eq!(scene.fake.asked("sh refresh_token"), 1);
    assert!(!is_stored(&scene.server, engine, CANARY).await, "tokens are stored as they are");

    assert_eq!(scene.remove("shopify").await.is(200).json(), json!({ "revoked": true }));
    assert_eq!(scene.fake.revoked(), [format!("{CANARY}-a3")], "by the token that took the place of the first");
    assert_eq!(scene.shown("shopify").await["connected"], Value::Null);
    scene.check("shopify").await.is_problem(404, "not-found");
    let of = |action: &str| (format!("integration.{action}"), "shopify".to_owned());
    let mut told = scene.told().await;
    told.sort();
    assert_eq!(told, [of("connected"), of("disconnected")]);
    let log = scene.server.log();
    assert!(!log.contains("cAnArY") && !log.contains("fhc_") && !log.contains("code-"), "{log}");

    // One whose shop does not answer is gone here all the same, and that is told.
    connect(&scene, &mut browser, "one").await.is(200);
    scene.fake.revokes(false);
    assert_eq!(scene.remove("shopify").await.is(200).json(), json!({ "revoked": false }));
    assert!(scene.told().await.contains(&of("not_revoked")));
}

async fn what_is_no_shop_is_named_and_nobody_asked(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.names.addresses(&format!("inner.{DOMAIN}"), &["10.0.0.1"]);
    scene.names.addresses(&format!("half.{DOMAIN}"), &["127.0.0.1", "169.254.169.254"]);
    let mut browser = Browser::new(scene.server.http);
    let shop = |text: &str| json!({ "shop": text });
    for (name, body, rule) in [
        ("shopify", json!({}), None),
        ("shopify", json!({ "shop": null }), None),
        ("shopify", shop(""), None),
        ("shopify", shop("One"), None),
        ("shopify", shop("one.example"), None),
        ("shopify", shop("one.myshopify.com"), None),
        ("shopify", shop("one.myshopify.test:443"), None),
        ("shopify", shop("a.one.myshopify.test"), None),
        ("shopify", shop("evil.test/.myshopify.test"), None),
        ("shopify", shop("one.myshopify.test\n"), None),
        ("shopify", shop("inner"), Some("private-address")),
        ("shopify", shop("half"), Some("private-address")),
        ("shopify", shop("nobody"), Some("no-address")),
        ("square", shop("one"), None),
        ("quickbooks", shop("one"), None),
    ] {
        let answer = begin(&mut browser, &scene.ada, (HOME, name), &body).await;
        answer.is_problem(400, "validation");
        let told = answer.json();
        assert_eq!((&told["errors"][0]["field"], told["rule"].as_str()), (&json!("shop"), rule), "{body}");
    }
    begin(&mut browser, &scene.ada, (HOME, "square"), &json!({})).await.is(200);
    begin(&mut browser, &scene.ada, (HOME, "shopify"), &json!({ "store": "one" })).await.is_problem(400, "validation");
    let started = begin(&mut browser, &scene.ada, (HOME, "shopify"), &shop("one")).await.is(200).json();
    let url = started["authorization_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&format!("https://{ONE}:")), "{url}");
    assert_eq!(scene.fake.come(), 0);
    assert_eq!(scene.shown("shopify").await["connected"], Value::Null);
}

/// What comes back, spoiled in a way, and the problem that it ends with.
fn spoiled(to: &str, good: &Parameters, at_s: i64) -> Vec<(&'static str, String, (u16, &'static str))> {
    let failed = (403, "oauth-failed");
    let with = |name: &str, value: &str| {
        let mut of = good.clone();
        of.iter_mut().filter(|pair| pair.0 == name).for_each(|pair| value.clone_into(&mut pair.1));
        signed(to, &of)
    };
    let without = |name: &str| signed(to, &good.iter().filter(|pair| pair.0 != name).cloned().collect::<Vec<_>>());
    let plain = query(good);
    let hmac = mac(&plain);
    let other = if hmac.starts_with('0') { "1" } else { "0" };
    vec![
        ("no signature", format!("{to}?{plain}"), failed),
        ("an empty signature", format!("{to}?{plain}&hmac="), failed),
        ("upper case", format!("{to}?{plain}&hmac={}", hmac.to_uppercase()), failed),
        ("another digit", format!("{to}?{plain}&hmac={other}{}", &hmac[1..]), failed),
        ("a digit less", format!("{to}?{plain}&hmac={}", &hmac[1..]), failed),
        ("another code", signed(to, good).replacen("code-", "code-x", 1), failed),
        ("one more parameter", format!("{}&embedded=1", signed(to, good)), failed),
        ("another shop", with("shop", "two.myshopify.test"), failed),
        ("another domain", with("shop", "one.myshopify.com"), failed),
        ("no shop", without("shop"), failed),
        ("stale", with("timestamp", &(at_s - 120).to_string()), (400, "oauth-expired")),
        ("from the future", with("timestamp", &(at_s + 120).to_string()), (400, "oauth-expired")),
        ("no time", without("timestamp"), (400, "oauth-expired")),
        ("no code", without("code"), failed),
    ]
}

async fn only_what_shopify_signed_now_for_the_shop_that_began_connects_it(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    let ways = spoiled("", &vec![("state", String::new())], 0).len();
    for way in 0..ways {
        let mut browser = Browser::new(scene.server.http);
        let (to, good) = allowed(&scene, &mut browser, "one").await;
        let at_s: i64 = good.last().unwrap().1.parse().unwrap();
        let (why, address, (status, problem)) = spoiled(&to, &good, at_s).swap_remove(way);
        let end = browser.follow(&address, RETURN).await;
        assert_eq!(end, format!("{HOME}{RETURN}?error={problem}"), "{why}");
        browser.get(&end).await.is_problem(status, problem);
        // The state is spent: what is right comes too late.
        browser.get(&signed(&to, &good)).await.is_problem(400, "oauth-expired");
    }
    // A parameter that is there twice is read by nobody.
    let mut browser = Browser::new(scene.server.http);
    let (to, good) = allowed(&scene, &mut browser, "one").await;
    let right = signed(&to, &good);
    for pair in [format!("shop={ONE}"), "code=x".to_owned(), format!("hmac={}", mac(&query(&good)))] {
        browser.get(&format!("{right}&{pair}")).await.is_problem(400, "validation");
    }
    // What another service came back with is none of a shop's, and the other way round.
    let started = scene.begin(&mut browser, "square").await.is(200).json();
    let square =
        browser.get(started["authorization_url"].as_str().unwrap()).await.header("location").unwrap().to_owned();
    let of_square = square.split_once("state=").unwrap().1;
    let mixed: Parameters = good
        .iter()
        .map(|(name, value)| (*name, if *name == "state" { of_square.to_owned() } else { value.clone() }))
        .collect();
    let end = browser.follow(&signed(&to, &mixed), RETURN).await;
    browser.get(&end).await.is_problem(403, "oauth-failed"); // Square knows nothing of that code
    assert_eq!(scene.fake.asked("sh code"), 0, "nothing was exchanged");
    assert_eq!(scene.shown("shopify").await["connected"], Value::Null);
    assert!(scene.told().await.is_empty());
    // And nothing of that spoils the right one.
    let end = browser.follow(&right, RETURN).await;
    browser.get(&end).await.is(200);
    assert_eq!(scene.fake.asked("sh code"), 1);
    assert_eq!(scene.shown("shopify").await["connected"]["account"], ONE);
}

async fn a_shop_that_leads_elsewhere_is_not_called(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    let mut browser = Browser::new(scene.server.http);
    let (to, parameters) = allowed(&scene, &mut browser, "one").await;
    let elsewhere = |scene: &Scene| scene.names.addresses(ONE, &["10.0.0.1"]);
    let back = |scene: &Scene| scene.names.addresses(ONE, &["127.0.0.1"]);
    elsewhere(&scene);
    let end = browser.follow(&signed(&to, &parameters), RETURN).await;
    browser.get(&end).await.is_problem(503, "unavailable");
    assert_eq!((scene.fake.come(), &scene.shown("shopify").await["connected"]), (0, &Value::Null));

    back(&scene);
    connect(&scene, &mut browser, "one").await.is(200);
    elsewhere(&scene);
    let away = scene.check("shopify").await.is(200).json();
    assert_eq!(away, json!({ "works": false, "outcome": "private-address", "status": null }));
    later(&mut scene, NEARLY_S).await;
    let failed = "freehold_integration_refreshes_total{integration=\"shopify\",outcome=\"failed\"}";
    let is_failed = async || (crate::watch::metric(&scene.server, failed).await == 1).then_some(());
    until("the refresh fails", is_failed).await;
    assert_eq!(scene.fake.asked("sh refresh_token"), 0);
    assert_eq!(scene.remove("shopify").await.is(200).json(), json!({ "revoked": false }));
    assert!(scene.fake.revoked().is_empty());
    // Another shop is another name, and its certificate must be its own.
    scene.names.addresses("two.myshopify.test", &["127.0.0.1"]);
    connect(&scene, &mut browser, "two").await.is(200);
    works(&mut scene).await;
}

async fn what_a_shop_refuses_connects_nothing(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    for (mode, status, problem) in [
        (Mode::Over, 403, "oauth-failed"),
        (Mode::Refuses, 403, "oauth-failed"),
        (Mode::Fails, 503, "unavailable"),
        (Mode::Babbles, 503, "unavailable"),
        (Mode::Loses, 503, "unavailable"),
    ] {
        scene.fake.mode(mode);
        let mut browser = Browser::new(scene.server.http);
        connect(&scene, &mut browser, "one").await.is_problem(status, problem);
        assert_eq!(scene.shown("shopify").await["connected"], Value::Null, "{mode:?}");
    }
    scene.fake.mode(Mode::Good);
    let mut browser = Browser::new(scene.server.http);
    let (to, parameters) = allowed(&scene, &mut browser, "one").await;
    let denied = format!("{to}?error=access_denied&state={}", parameters[3].1);
    let end = browser.follow(&denied, RETURN).await;
    browser.get(&end).await.is_problem(403, "oauth-denied");
    // The session that began is over before the browser comes home.
    let (to, parameters) = allowed(&scene, &mut browser, "one").await;
    let end = browser.follow(&signed(&to, &parameters), RETURN).await;
    scene.conn.call("POST", "/v1/auth/logout", Some(&scene.ada.access)).await.is(204);
    browser.get(&end).await.is_problem(400, "oauth-expired");
    scene.ada = scene.conn.sign_in(&scene.acme).await;
    assert_eq!(scene.fake.asked("sh code"), 5);
    assert_eq!(scene.shown("shopify").await["connected"], Value::Null);
    assert!(scene.told().await.is_empty());
}

async fn a_shop_that_fails_keeps_its_token_and_one_that_is_over_is_told(engine: Engine) {
    let (mut scene, mut browser) = connected(engine).await;
    scene.fake.mode(Mode::Fails);
    later(&mut scene, NEARLY_S).await;
    asked(&scene, "sh refresh_token", 1).await;
    works(&mut scene).await;
    scene.fake.mode(Mode::Over);
    later(&mut scene, 61).await;
    let over = async |scene: &mut Scene| scene.shown("shopify").await["connected"]["state"] == "expired";
    until("it is over", async || over(&mut scene).await.then_some(())).await;
    scene.check("shopify").await.is_problem(409, "integration-expired");
    assert!(scene.told().await.contains(&("integration.expired".to_owned(), "shopify".to_owned())));
    // Connected again, it works.
    scene.fake.mode(Mode::Good);
    connect(&scene, &mut browser, "one").await.is(200);
    works(&mut scene).await;
}

/// A shop takes the token before once more: nobody has to connect it again.
async fn a_lost_answer_of_a_shop_costs_nothing(engine: Engine) {
    let (mut scene, _) = connected(engine).await;
    scene.fake.mode(Mode::Loses);
    scene.server.clock_ahead(NEARLY_S).await;
    asked(&scene, "sh refresh_token", 1).await;
    let failed = "freehold_integration_refreshes_total{integration=\"shopify\",outcome=\"failed\"}";
    let is_lost = async || (crate::watch::metric(&scene.server, failed).await == 1).then_some(());
    until("it is lost", is_lost).await;
    scene.fake.mode(Mode::Good);
    scene.server.clock_ahead(61).await;
    asked(&scene, "sh refresh_token", 2).await;
    until("it works", async || (scene.check("shopify").await.json()["works"] == true).then_some(())).await;
    assert_eq!(scene.shown("shopify").await["connected"]["state"], "connected");
}

async fn a_token_of_a_shop_that_does_not_end_is_kept_as_it_is(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.fake.lasting(true);
    let mut browser = Browser::new(scene.server.http);
    connect(&scene, &mut browser, "one").await.is(200);
    let shown = scene.shown("shopify").await["connected"].clone();
    assert_eq!((&shown["state"], &shown["ends_at"]), (&json!("connected"), &Value::Null));
    works(&mut scene).await;
    scene.server = scene.server.restarted();
    scene.conn = Conn::to(&scene.server, &scene.acme).await;
    later(&mut scene, 100 * 86_400).await;
    works(&mut scene).await;
    assert_eq!(scene.fake.asked("sh refresh_token"), 0);
    assert_eq!(scene.remove("shopify").await.is(200).json(), json!({ "revoked": true }));
}

/// Each of two tenants may connect one shop. Shopify has one token for it, and whoever connected it last has that.
async fn two_tenants_connect_one_shop(engine: Engine) {
    let (mut scene, _) = connected(engine).await;
    let globex = scene.server.tenant("globex");
    let mut conn = Conn::to(&scene.server, &globex).await;
    let ada = conn.sign_in(&globex).await;
    let mut browser = Browser::new(scene.server.http);
    let home = "http://globex.localhost:8080";
    let started = begin(&mut browser, &ada, (home, "shopify"), &json!({ "shop": "one" })).await.is(200).json();
    let (to, parameters) = scene.fake.consents(started["authorization_url"].as_str().unwrap());
    let end = browser.follow(&signed(&to, &parameters), RETURN).await;
    assert!(end.starts_with(home), "{end}");
    browser.get(&end).await.is(200);
    let check = format!("{LIST}/shopify/check");
    assert_eq!(conn.call("POST", &check, Some(&ada.access)).await.is(200).json()["works"], true);
    assert_eq!(scene.shown("shopify").await["connected"]["account"], ONE);
    let refused = scene.check("shopify").await.is(200).json();
    assert_eq!(refused, json!({ "works": false, "outcome": "refused", "status": 401 }));
}
