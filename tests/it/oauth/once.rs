//! What a sign-in at a provider is bound to: one state, one code, one browser, one tenant, and little time.

use serde_json::json;

use super::browser::{Browser, parameter};
use super::fake::Fake;
use super::{COOKIE, HANDOFF, HOME, HOST, Scene, ada, hand_off, link, round, start_link};
use crate::support::{Answer, Conn, Engine, Options, Server, Session, on_both_engines};

/// How many come with the same thing at once.
const USES: usize = 50;

on_both_engines! {
    a_state_and_a_code_are_good_once_in_their_browser_at_their_tenant_and_in_time
    of_fifty_callbacks_one_goes_on_and_of_fifty_handoffs_one
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_take_a_state_and_a_code_once() {
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(Engine::Postgres))).await;
    let another = scene.server.another();
    scene.linked("google").await;
    let servers = [&scene.server, &another];
    one_of_many(&fake, &scene, &servers).await;
}

async fn of_fifty_callbacks_one_goes_on_and_of_fifty_handoffs_one(engine: Engine) {
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(engine))).await;
    scene.linked("google").await;
    one_of_many(&fake, &scene, &[&scene.server]).await;
}

async fn one_of_many(fake: &Fake, scene: &Scene, servers: &[&Server]) {
    let mut browser = scene.browser();
    let callback = browser.follow(&format!("{HOME}/v1/auth/oauth/google/start"), "/oauth/callback").await;
    let exchanged = fake.asked("/token");
    let target = callback.strip_prefix("http://localhost:8080").unwrap().to_owned();
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..USES {
        let mut conn = Conn::open(servers[n % servers.len()].http, "localhost:8080").await;
        let target = target.clone();
        calls.spawn(async move { conn.get(&target, None).await });
    }
    let answers = calls.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 303);
    assert_eq!((won.len(), fake.asked("/token") - exchanged), (1, 1), "{answers:?}");
    for answer in lost {
        answer.is_problem(400, "oauth-expired");
    }

    let code = parameter(won[0].header("location").unwrap(), "code").unwrap().to_owned();
    let cookie = format!("{COOKIE}={}", browser.cookie(HOST, COOKIE).unwrap());
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..USES {
        let mut conn = Conn::open(servers[n % servers.len()].http, "acme.localhost:8080").await;
        let (cookie, body) = (cookie.clone(), json!({ "code": code }).to_string());
        calls.spawn(async move {
            let headers = [("cookie", cookie.as_str()), ("origin", HOME), ("content-type", "application/json")];
            conn.send(conn.request("POST", HANDOFF, &headers, body.as_bytes())).await
        });
    }
    let answers = calls.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1, "{answers:?}");
    Session::of(won[0]);
    for answer in lost {
        answer.is_problem(400, "oauth-expired");
    }
}

async fn a_state_and_a_code_are_good_once_in_their_browser_at_their_tenant_and_in_time(engine: Engine) {
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(engine))).await;
    scene.linked("google").await;
    let callback = async |browser: &mut Browser| {
        browser.follow(&format!("{HOME}/v1/auth/oauth/google/start"), "/oauth/callback").await
    };
    let expired = |answer: &Answer| answer.is_problem(400, "oauth-expired");

    // What is no state of ours, whatever stands beside it.
    let mut browser = scene.browser();
    for query in
        ["", "?code=x", "?state=x&code=y", &format!("?code=y&state={}", "A".repeat(64)), "?error=access_denied"]
    {
        expired(&browser.get(&format!("http://localhost:8080/oauth/callback{query}")).await);
    }
    // A state again, and the code of another sign-in: its verifier is not known to be right.
    let one = callback(&mut browser).await;
    let two = callback(&mut browser).await;
    let mixed = two.replace(parameter(&two, "code").unwrap(), parameter(&one, "code").unwrap());
    let answer = browser.get(&mixed).await;
    assert_eq!(answer.is(303).header("location"), Some(format!("{HOME}/auth/handoff#error=oauth-failed").as_str()));
    expired(&browser.get(&two).await);
    // Nothing is told of what the provider said, and nothing of ours is kept by it.
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    // A state of another tenant, and a code at another tenant.
    let globex = scene.server.cli(
        &["tenant", "create", "globex", "--admin-email", "ada@example.com", "--admin-password-stdin"],
        "correct horse of globex\n",
    );
    let globex: serde_json::Value = serde_json::from_slice(&globex.stdout).unwrap();
    let state = parameter(&callback(&mut browser).await, "state").unwrap().to_owned();
    let other = moved(&state, globex["id"].as_str().unwrap());
    expired(&browser.get(&format!("http://localhost:8080/oauth/callback?code=x&state={other}")).await);
    let address = round(&mut browser, "google").await;
    let code = parameter(&address, "code").unwrap();
    let value = browser.cookie(HOST, COOKIE).unwrap().to_owned();
    browser.set_cookie("globex.localhost", COOKIE, &value);
    let there = format!("http://globex.localhost:8080{HANDOFF}");
    expired(&browser.post(&there, &json!({ "code": code })).await);

    // Another browser: without a cookie, and with one of its own. Neither takes anything away.
    let mut eves = scene.browser();
    expired(&hand_off(&mut eves, &address).await);
    round(&mut eves, "google").await;
    assert_ne!(eves.cookie(HOST, COOKIE), browser.cookie(HOST, COOKIE));
    expired(&hand_off(&mut eves, &address).await);
    Session::of(&hand_off(&mut browser, &address).await);
    expired(&hand_off(&mut browser, &address).await);

    // Two tabs do not void each other.
    let (one, two) = (round(&mut browser, "google").await, round(&mut browser, "google").await);
    Session::of(&hand_off(&mut browser, &one).await);
    Session::of(&hand_off(&mut browser, &two).await);

    // Too late.
    let late = callback(&mut browser).await;
    let lifetime = "UPDATE oauth_state SET expires_at_ms = expires_at_ms - 600000";
    scene.server.run_sql(&scene.acme, lifetime).await;
    expired(&browser.get(&late).await);
    let late = round(&mut browser, "google").await;
    scene.server.run_sql(&scene.acme, "UPDATE oauth_handoff SET expires_at_ms = expires_at_ms - 30000").await;
    expired(&hand_off(&mut browser, &late).await);
}

/// A state with the id of another tenant in it.
fn moved(state: &str, tenant: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut bytes = URL_SAFE_NO_PAD.decode(state).unwrap();
    let id = u128::from_str_radix(&tenant.replace('-', ""), 16).unwrap();
    bytes[..16].copy_from_slice(&id.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whoever lures another's browser to a callback of theirs gets neither a session nor a link.
#[tokio::test(flavor = "multi_thread")]
async fn a_lured_browser_signs_nobody_in_and_links_nothing() {
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(Engine::Sqlite))).await;
    let eve = scene.conn.sign_in(&scene.acme).await;
    let mut eves = scene.browser();
    let started = start_link(&mut eves, &eve, "google").await;
    let url = started.is(200).json()["authorization_url"].as_str().unwrap().to_owned();
    // The victim, with an account of their own at the provider, follows Eve's address to its end.
    let mut victims = scene.browser();
    let address = victims.follow(&url, "/auth/handoff").await;
    hand_off(&mut victims, &address).await.is_problem(400, "oauth-expired");
    // Nor with a cookie of their own, from a sign-in that they began themselves.
    round(&mut victims, "google").await;
    hand_off(&mut victims, &address).await.is_problem(400, "oauth-expired");
    let identities = scene.conn.get("/v1/auth/identities", Some(&eve.access)).await.json();
    assert_eq!(identities["items"], json!([]));

    // From a page of another site the browser's cookie does nothing, nor from nowhere.
    link(&mut eves, &eve, "google").await.is(201);
    let address = round(&mut eves, "google").await;
    let body = json!({ "code": parameter(&address, "code").unwrap() }).to_string();
    for origin in ["http://evil.localhost:8080", "http://localhost:8080", "null"] {
        let headers = [("content-type", "application/json"), ("origin", origin)];
        let answer = eves.send("POST", &format!("{HOME}{HANDOFF}"), &headers, body.as_bytes()).await;
        answer.is_problem(403, "csrf");
    }
    let headers = [("content-type", "application/json")];
    let answer = eves.send("POST", &format!("{HOME}{HANDOFF}"), &headers, body.as_bytes()).await;
    answer.is_problem(403, "csrf");
    Session::of(&hand_off(&mut eves, &address).await);
}
