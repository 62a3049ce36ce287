//! Chromium: our pages work in it and break no policy of theirs, and what somebody puts into one does not run and is
//! reported.

use serde_json::{Value, json};

use super::{DOMAIN, HOST, Scene, node, place, said};
use crate::oauth::Oidc;
use crate::openapi::operations;
use crate::support::{Engine, Options};
use crate::watch::until;

const NEW_PASSWORD: &str = "a wholly different phrase";
const INVITED: &str = "grace@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn pages_work_in_chromium_and_what_is_injected_does_not() {
    let oidc = Oidc::start("https://example.test/oauth/callback");
    oidc.account(&json!({ "sub": "g-1", "email": "guest@example.com", "email_verified": true, "name": "Guest" })).await;
    let scene = Scene::with(oidc.configure(Options::new(Engine::Sqlite))).await;
    let mut conn = scene.conn(HOST).await;
    let access = conn.sign_in(&scene.acme).await.access;
    conn.patch("/v1/settings", &access, &json!({ "registration": "open" })).await.is(200);
    conn.post("/v1/invitations", Some(&access), &json!({ "email": INVITED, "role": "employee" })).await.is(201);
    let invitation = scene.server.letters(1).await[0].token("/auth/invitation");
    conn.post("/v1/auth/password/forgot", None, &json!({ "email": scene.acme.email })).await.is(202);
    let reset = scene.server.letters(2).await[1].token("/auth/reset");
    let mut pages: Vec<_> = [DOMAIN, "api.example.test", "admin.example.test"]
        .iter()
        .map(|host| format!("https://{host}/security"))
        .collect();
    pages.extend(pages_of_a_tenant(&mut conn).await);
    assert!(pages.len() >= 11, "{pages:?}");
    let url = |path: &str| format!("https://{HOST}{path}");
    let task = json!({
        "chromium": place("FREEHOLD_TEST_CHROMIUM"),
        "port": scene.server.http.port(), "cert": scene.certificate.cert, "key": scene.certificate.key, "domain": DOMAIN,
        "pages": pages,
        "forms": [
            { "url": url(&format!("/auth/invitation#token={invitation}")),
              "fields": { "email": INVITED, "name": "Grace Hopper", "password": NEW_PASSWORD } },
            { "url": url(&format!("/auth/reset#token={reset}")), "fields": { "new_password": NEW_PASSWORD } },
            { "url": url("/auth/verify#token=nonsense"), "fields": {} },
            { "url": url("/security/report"), "fields": { "text": "an open\ndoor", "reporter": "Eve" } },
        ],
        "start": url("/v1/auth/oauth/google/start"),
        "injected": url("/security"),
    });
    let result = said(&mut node("browser.mjs"), &task.to_string());
    for (page, complaints) in result["complaints"].as_object().unwrap() {
        let complaints: Vec<_> = complaints.as_array().unwrap().iter().filter(|text| !is_refusal(page, text)).collect();
        assert!(complaints.is_empty(), "{page}: {complaints:?}");
    }
    let said = result["forms"].as_array().unwrap();
    assert_eq!(
        said[..3],
        [
            json!("Welcome. Sign in with your address and password."),
            json!("The password is changed. Sign in with it."),
            json!("The link was used before, or its time is over. Ask for another."),
        ]
    );
    let thanks = said[3].as_str().unwrap();
    assert!(thanks.starts_with("Thank you. The reference of your report is 0"), "{thanks}");
    assert_eq!(result["home"], json!({ "url": url("/"), "refreshed": 200 }));
    for email in [&scene.acme.email, INVITED] {
        conn.post("/v1/auth/login", None, &json!({ "email": email, "password": NEW_PASSWORD })).await.is(200);
    }

    let injected = &result["injected"];
    assert_eq!((&injected["ran"], &injected["reported"]), (&Value::Null, &json!(204)), "{injected}");
    assert_eq!(injected["refused"].as_array().unwrap().len(), 5, "{injected}");
    let session =
        conn.post("/v1/auth/login", None, &json!({ "email": scene.acme.email, "password": NEW_PASSWORD })).await;
    let access = session.json()["access_token"].as_str().unwrap().to_owned();
    let conn = tokio::sync::Mutex::new(conn);
    let (reports, _) = until("the reports are there", async || {
        let list = conn.lock().await.get("/v1/csp-reports", Some(&access)).await.is(200).json();
        Some(list["items"].clone()).filter(|items| items.as_array().unwrap().len() >= 2)
    })
    .await;
    for directive in ["script-src-elem", "script-src-attr"] {
        let is_there = |report: &Value| report["directive"] == directive && report["document"] == url("/security");
        assert!(reports.as_array().unwrap().iter().any(is_there), "{directive}: {reports}");
    }
}

/// Every page that is described.
async fn pages_of_a_tenant(conn: &mut crate::support::Conn) -> Vec<String> {
    let is_page = |described: &Value| described["responses"]["200"]["content"].get("text/html").is_some();
    let described = operations(conn).await;
    let pages = described.iter().filter(|(_, _, described)| is_page(described));
    pages.map(|(_, path, _)| format!("https://{HOST}{}", path.replace("{slug}", "not-found"))).collect()
}

/// The one request that is refused is told by the browser, as every failed one is.
fn is_refusal(page: &str, text: &Value) -> bool {
    page.contains("/auth/verify#") && text.as_str().unwrap().contains("status of 401")
}
