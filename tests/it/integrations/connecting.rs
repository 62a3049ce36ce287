//! Connecting by OAuth: by who began it, in the browser in which it began, once; and disconnecting.

use serde_json::{Value, json};

use super::fake::{CANARY, Mode, REALM};
use super::{HOME, LIST, Scene, connect, is_stored, round};
use crate::oauth::Browser;
use crate::support::{Conn, Engine, on_both_engines};

on_both_engines! {
    both_providers_are_connected_tried_and_disconnected
    only_the_browser_that_began_connects_and_once
    what_a_provider_refuses_connects_nothing
    a_session_that_is_over_connects_nothing
    a_callback_of_quickbooks_names_a_company
    a_provider_that_does_not_answer_is_told_and_the_tokens_are_gone
}

async fn both_providers_are_connected_tried_and_disconnected(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    for (name, account) in [("quickbooks", REALM), ("square", "MLEFBHHSJGVHD")] {
        let before = scene.shown(name).await;
        assert_eq!(
            (&before["opened_by"], &before["available"], &before["connected"]),
            (&json!("oauth"), &json!(true), &Value::Null)
        );
        let mut browser = Browser::new(scene.server.http);
        let page = connect(&mut browser, &scene.ada, name).await;
        assert!(String::from_utf8_lossy(&page.is(200).body).contains(&format!("<code>{name}</code> is connected")));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let shown = scene.shown(name).await["connected"].clone();
        assert_eq!(
            (&shown["state"], &shown["account"], &shown["expired_at"]),
            (&json!("connected"), &json!(account), &Value::Null)
        );
        assert!(shown["ends_at"].is_string() && shown["last4"].as_str().unwrap().len() == 4, "{shown}");
        let works = scene.check(name).await.is(200).json();
        assert_eq!(works, json!({ "works": true, "outcome": "ok", "status": 200 }));
    }
    assert!(!is_stored(&scene.server, engine, CANARY).await, "tokens are stored as they are");
    // QuickBooks is told by the refresh token, Square by the access token.
    for (name, token) in [("quickbooks", "-r2"), ("square", "-a4")] {
        assert_eq!(scene.remove(name).await.is(200).json(), json!({ "revoked": true }));
        assert_eq!(scene.shown(name).await["connected"], Value::Null);
        assert_eq!(scene.fake.revoked().last(), Some(&format!("{CANARY}{token}")));
        scene.check(name).await.is_problem(404, "not-found");
    }
    let mut told = scene.told().await;
    told.sort();
    let of = |action: &str, name: &str| (format!("integration.{action}"), name.to_owned());
    let on = ["quickbooks", "square"].map(|name| of("connected", name));
    let off = ["quickbooks", "square"].map(|name| of("disconnected", name));
    assert_eq!(told, [on, off].concat());
    let log = scene.server.log();
    assert!(!log.contains("cAnArY") && !log.contains("fhc_") && !log.contains("code-"), "{log}");
}

async fn only_the_browser_that_began_connects_and_once(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    // Who is lured to somebody else's way back has not the cookie of the beginning.
    let mut browser = Browser::new(scene.server.http);
    let address = round(&mut browser, &scene.ada, "quickbooks").await;
    let mut lured = Browser::new(scene.server.http);
    lured.get(&address).await.is_problem(400, "oauth-expired");
    let mut other = Browser::new(scene.server.http);
    scene.begin(&mut other, "square").await.is(200);
    other.get(&address).await.is_problem(400, "oauth-expired");
    assert_eq!(scene.shown("quickbooks").await["connected"], Value::Null);
    assert_eq!(scene.fake.asked("qb authorization_code"), 0, "nothing was exchanged");
    browser.get(&address).await.is(200);
    browser.get(&address).await.is_problem(400, "oauth-expired");
    assert_eq!(scene.fake.asked("qb authorization_code"), 1);

    // A state works once, within its ten minutes, and is none of a sign-in.
    let started = scene.begin(&mut browser, "quickbooks").await.is(200).json();
    let url = started["authorization_url"].as_str().unwrap().to_owned();
    let callback = browser.get(&url).await.header("location").unwrap().to_owned();
    assert!(callback.starts_with("http://localhost:8080/integrations/callback?"), "{callback}");
    let sign_in = callback.replace("/integrations/callback", "/oauth/callback");
    browser.get(&sign_in).await.is_problem(400, "oauth-expired");
    assert_eq!(browser.get(&callback).await.status, 303);
    browser.get(&callback).await.is_problem(400, "oauth-expired");
    let started = scene.begin(&mut browser, "quickbooks").await.is(200).json();
    let late = browser.get(started["authorization_url"].as_str().unwrap()).await.header("location").unwrap().to_owned();
    scene.server.clock_ahead(601).await;
    browser.get(&late).await.is_problem(400, "oauth-expired");
    for wrong in ["state=x&code=y", "code=y", "error=access_denied"] {
        let callback = format!("http://localhost:8080/integrations/callback?{wrong}");
        browser.get(&callback).await.is_problem(400, "oauth-expired");
    }
    browser.get(&format!("{HOME}/integrations/return?code=fhc_x")).await.is_problem(400, "oauth-expired");
    browser.get(&format!("{HOME}/integrations/return")).await.is(200);
    assert_eq!(scene.fake.asked("qb authorization_code"), 1);
}

async fn what_a_provider_refuses_connects_nothing(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    for (mode, status, problem) in [
        (Mode::Over, 403, "oauth-failed"),
        (Mode::Refuses, 403, "oauth-failed"),
        (Mode::Fails, 503, "unavailable"),
        (Mode::Babbles, 503, "unavailable"),
    ] {
        scene.fake.mode(mode);
        for name in ["quickbooks", "square"] {
            let mut browser = Browser::new(scene.server.http);
            connect(&mut browser, &scene.ada, name).await.is_problem(status, problem);
            assert_eq!(scene.shown(name).await["connected"], Value::Null, "{mode:?}");
        }
    }
    scene.fake.denies();
    let mut browser = Browser::new(scene.server.http);
    connect(&mut browser, &scene.ada, "square").await.is_problem(403, "oauth-denied");
    for name in ["twilio", "openai", "stripe"] {
        scene.begin(&mut browser, name).await.is_problem(404, "not-found");
    }
    assert!(scene.told().await.is_empty());
}

async fn a_callback_of_quickbooks_names_a_company(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    for realm in ["", "&realmId=", "&realmId=..", "&realmId=a%2Fb"] {
        let mut browser = Browser::new(scene.server.http);
        let started = scene.begin(&mut browser, "quickbooks").await.is(200).json();
        let url = started["authorization_url"].as_str().unwrap().to_owned();
        let callback = browser.get(&url).await.header("location").unwrap().to_owned();
        let changed = callback.replace(&format!("&realmId={REALM}"), realm);
        assert_ne!(callback, changed);
        let home = browser.get(&changed).await.header("location").unwrap().to_owned();
        browser.get(&home).await.is_problem(403, "oauth-failed");
    }
    assert_eq!(scene.fake.asked("qb authorization_code"), 0, "nothing was exchanged");
    assert_eq!(scene.shown("quickbooks").await["connected"], Value::Null);
}

async fn a_session_that_is_over_connects_nothing(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    let mut browser = Browser::new(scene.server.http);
    let address = round(&mut browser, &scene.ada, "square").await;
    scene.conn.call("POST", "/v1/auth/logout", Some(&scene.ada.access)).await.is(204);
    browser.get(&address).await.is_problem(400, "oauth-expired");
    assert_eq!(scene.fake.asked("sq authorization_code"), 0);
    scene.ada = scene.conn.sign_in(&scene.acme).await;
    assert_eq!(scene.shown("square").await["connected"], Value::Null);
    scene.begin(&mut browser, "square").await.is(200);
    let mut nobody = Conn::to(&scene.server, &scene.acme).await;
    nobody.call("POST", &format!("{LIST}/square/connect"), None).await.is_problem(401, "unauthenticated");
}

async fn a_provider_that_does_not_answer_is_told_and_the_tokens_are_gone(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.connect("quickbooks").await;
    scene.fake.revokes(false);
    assert_eq!(scene.remove("quickbooks").await.is(200).json(), json!({ "revoked": false }));
    assert_eq!(scene.shown("quickbooks").await["connected"], Value::Null);
    scene.check("quickbooks").await.is_problem(404, "not-found");
    let told = scene.told().await;
    for action in ["connected", "disconnected", "not_revoked"] {
        let wanted = (format!("integration.{action}"), "quickbooks".to_owned());
        assert_eq!(told.iter().filter(|row| **row == wanted).count(), 1, "{told:?}");
    }
}
