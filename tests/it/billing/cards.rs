//! Numbers of cards belong to Stripe: no field takes one, and no log has it.

use serde_json::json;

use super::Scene;
use crate::support::{Engine, on_both_engines};
use crate::tenants_apart::stolen;

on_both_engines! {
    a_number_of_a_card_is_taken_nowhere_and_logged_nowhere
}

const CARD: &str = "5555 5555 5555 4444";
const DIGITS: &str = "5555555555554444";

async fn a_number_of_a_card_is_taken_nowhere_and_logged_nowhere(engine: Engine) {
    let mut scene = Scene::with(engine, &[("FREEHOLD_LOG", "debug")]).await;
    scene.buy("business").await;
    let text = format!("mine is {CARD}");
    let me = scene.get("/v1/me").await.is(200).json()["member"]["id"].as_str().unwrap().to_owned();
    let access = scene.ada.access.clone();
    let bodies = [
        ("/v1/api-keys", "name", json!({ "name": text, "kind": "secret", "scopes": ["schema:read"] })),
        (
            "/v1/webhooks/endpoints",
            "description",
            json!({ "url": "https://93.184.215.14/", "topics": ["member.*"], "description": text }),
        ),
        ("/v1/auth/register", "name", json!({ "email": "c@example.com", "password": "a password of c", "name": text })),
        ("/v1/plan/checkout", "plan", json!({ "plan": text })),
    ];
    for (path, field, body) in bodies {
        let refused = scene.conn.post(path, Some(&access), &body).await;
        refused.is_problem(400, "validation");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{path}");
        assert!(!String::from_utf8_lossy(&refused.body).contains("5555"), "{path}");
    }
    let refused = scene.conn.patch(&format!("/v1/members/{me}"), &access, &json!({ "name": text })).await;
    assert_eq!(refused.json()["errors"][0]["field"], "name");
    let refused = scene.conn.patch("/v1/settings", &access, &json!({ "notice_html": format!("<p>{text}</p>") })).await;
    assert_eq!(refused.json()["errors"][0]["field"], "notice_html", "{refused:?}");
    let report = json!({ "text": format!("A weakness.\nPay me at {CARD}.") });
    let refused = scene.conn.post("/v1/security-reports", None, &report).await;
    assert_eq!(refused.json()["errors"][0]["field"], "text", "{refused:?}");
    let (conn, session) = &mut scene.operator;
    let new = json!({ "slug": "initech", "name": text, "admin": { "email": "p@example.com" } });
    assert_eq!(conn.post("/v1/tenants", Some(&session.access), &new).await.json()["errors"][0]["field"], "name");
    let suspend = format!("/v1/tenants/{}/suspend", scene.acme.id);
    let why = json!({ "reason": text });
    assert_eq!(conn.post(&suspend, Some(&session.access), &why).await.json()["errors"][0]["field"], "reason");
    let said = scene.server.cli(&["tenant", "suspend", "acme", "--reason", &text], "");
    assert_eq!(said.status.code(), Some(65), "{said:?}");
    assert!(!String::from_utf8_lossy(&said.stderr).contains("5555"), "{said:?}");
    // Where nothing is read either: a path, a query, a header.
    scene.get(&format!("/v1/{DIGITS}?card={DIGITS}")).await.is_problem(404, "not-found");
    scene.get(&format!("/v1/members/{DIGITS}")).await.is_problem(404, "not-found");

    for (place, bytes) in stolen(&scene.server, engine).await {
        for needle in [CARD, DIGITS] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle.as_bytes()), "{place}");
        }
    }
    let log = scene.server.log();
    assert!(!log.contains(DIGITS) && !log.contains(CARD), "{log}");
}
