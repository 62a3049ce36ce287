//! Where no webhook goes: what is not public, however it is written, wherever a name leads, now or later.

use std::net::Ipv4Addr;

use serde_json::json;

use super::receiver::{Mode, Receiver};
use super::{ENDPOINTS, Scene};
use crate::support::{Answer, Authority, Engine, Folder, Options};

/// Asserts that it was refused, by this rule.
#[track_caller]
fn refused_by(answer: &Answer, rule: &str) {
    answer.is_problem(400, "validation");
    let told = answer.json();
    assert_eq!((&told["rule"], &told["errors"][0]["field"]), (&json!(rule), &json!("url")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_public_is_refused_and_the_rule_is_named() {
    let mut scene = Scene::on(Options::new(Engine::Sqlite)).await;
    scene.names.addresses("private.test", &["10.1.2.3"]);
    scene.names.addresses("metadata.test", &["169.254.169.254"]);
    scene.names.addresses("loopback.test", &["::1"]);
    scene.names.addresses("mapped.test", &["::ffff:127.0.0.2"]);
    scene.names.addresses("nat64.test", &["64:ff9b::7f00:1"]);
    scene.names.addresses("mixed.test", &["127.0.0.1", "192.168.0.1"]);
    let port = scene.receiver.address.port();
    for (host, rule) in [
        ("127.0.0.2", "private-address"),
        ("10.0.0.1", "private-address"),
        ("169.254.169.254", "private-address"),
        ("[::1]", "private-address"),
        ("[::ffff:127.0.0.1]", "private-address"),
        ("[64:ff9b::7f00:1]", "private-address"),
        ("0.0.0.0", "private-address"),
        ("2130706433", "numeric-host"),
        ("0177.0.0.1", "numeric-host"),
        ("0x7f000001", "numeric-host"),
        ("127.1", "numeric-host"),
        ("localhost", "special-name"),
        ("db.internal", "special-name"),
        ("private.test", "private-address"),
        ("metadata.test", "private-address"),
        ("loopback.test", "private-address"),
        ("mapped.test", "private-address"),
        ("nat64.test", "private-address"),
        ("mixed.test", "private-address"),
        ("nowhere.test", "no-address"),
        ("user@hooks.test", "no-credentials"),
        ("hooks", "host"),
    ] {
        let body = json!({ "url": format!("https://{host}:{port}/"), "topics": ["*"] });
        refused_by(&scene.create(&body).await, rule);
    }
    for (url, rule) in [
        (format!("http://hooks.test:{port}/"), "https-only"),
        ("https://hooks.test:22/".to_owned(), "port"),
        ("https://hooks.test/".to_owned(), "port"),
        (format!("https://hooks.test:{port}/#a"), "no-fragment"),
        (format!("https://hooks.test:{port}/\u{e9}"), "characters"),
        (format!("https://hooks.test:{port}/{}", "a".repeat(2_048)), "too-long"),
    ] {
        refused_by(&scene.create(&json!({ "url": url, "topics": ["*"] })).await, rule);
    }
    assert_eq!(scene.get(ENDPOINTS).await["items"], json!([]), "nothing was made");
    let (id, _) = scene.endpoint("/hook", &["session.started"]).await;
    let change = json!({ "url": "https://10.0.0.1:8443/" });
    let path = format!("{ENDPOINTS}/{id}");
    refused_by(&scene.conn.patch(&path, &scene.ada.access, &change).await, "private-address");
    assert_eq!(scene.get(&path).await["url"], scene.receiver.url("/hook"), "and nothing changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_elsewhere_later_and_a_redirect_are_not_followed() {
    let mut scene = Scene::on(Options::new(Engine::Sqlite)).await;
    let (folder, authority) = (Folder::new(), Authority::new());
    // It listens, and nobody may come there.
    let inside = Receiver::start(&authority, &folder, Ipv4Addr::new(127, 0, 0, 2)).await;
    let (rebound, _) = scene.endpoint("/rebound", &["session.started"]).await;
    let (redirected, _) = scene.endpoint("/redirected", &["session.started"]).await;
    let location = format!("location: https://127.0.0.2:{}/inside\r\n", inside.address.port());
    scene.receiver.set("/redirected", Mode::Answer(307, location.leak(), String::new()));
    scene.happen().await;
    scene.hears("/rebound", 1).await;
    let message = scene.settles(&redirected, "waiting", 1).await;
    let whole = scene.message(&redirected, &message).await;
    assert_eq!((&whole["tries"][0]["outcome"], &whole["tries"][0]["status"]), (&json!("redirect"), &json!(307)));

    for addresses in [&["127.0.0.2"][..], &["10.0.0.1"], &["::1"], &["127.0.0.1", "127.0.0.2"], &["64:ff9b::a00:1"]] {
        scene.names.addresses("hooks.test", addresses);
        scene.happen().await;
        let message = scene.settles(&rebound, "waiting", 1).await;
        let whole = scene.message(&rebound, &message).await;
        assert_eq!(whole["tries"][0]["outcome"], "private-address", "{addresses:?}");
        assert_eq!((&whole["tries"][0]["status"], &whole["tries"][0]["answer"]), (&json!(null), &json!(null)));
    }
    assert_eq!(scene.receiver.heard("/rebound").len(), 1);
    assert_eq!(inside.heard("/rebound").len() + inside.heard("/inside").len(), 0);
}

/// Whoever is not certified for the name, or by nobody who is known, is told nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_who_does_not_prove_to_be_the_host() {
    let mut scene = Scene::on(Options::new(Engine::Sqlite)).await;
    let (folder, unknown) = (Folder::new(), Authority::new());
    let stranger = Receiver::start(&unknown, &folder, Ipv4Addr::LOCALHOST).await;
    scene.names.addresses("other.test", &["127.0.0.1"]);
    let urls = [stranger.url("/hook"), scene.receiver.url("/hook").replace("hooks.test", "other.test")];
    let mut ids = vec![];
    for url in urls {
        let made = scene.create(&json!({ "url": url, "topics": ["session.started"] })).await.is(201).json();
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    scene.happen().await;
    for id in ids {
        let message = scene.settles(&id, "waiting", 1).await;
        assert_eq!(scene.message(&id, &message).await["tries"][0]["outcome"], "tls");
    }
    assert_eq!(stranger.heard("/hook").len() + scene.receiver.heard("/hook").len(), 0);
}
