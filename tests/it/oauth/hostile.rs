//! A provider that lies, or is not there; one that is not configured; and what a browser gets to see.

use std::time::{Duration, Instant};

use serde_json::json;

use super::browser::parameter;
use super::fake::{Fake, Manner};
use super::{COOKIE, HOME, HOST, SECRET, Scene, ada, hand_off, round, sign_in};
use crate::support::{Conn, Engine, Options, Server, Session};
use crate::watch::metric;

/// The whole way back, whatever the provider does.
const BACK_WITHIN: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_must_not_say_lets_nobody_in() {
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(Engine::Sqlite))).await;
    scene.linked("google").await;
    let (mut browser, session) = scene.linked("github").await;
    let google = Manner::LIES.map(|manner| ("google", manner));
    let github = Manner::LIES_OF_GITHUB.map(|manner| ("github", manner));
    let before = scene.told(&session.access).await.len();
    for (provider, manner) in google.into_iter().chain(github) {
        fake.set(manner);
        let address = round(&mut browser, provider).await;
        assert_eq!(address, format!("{HOME}/auth/handoff#error=oauth-failed"), "{provider} {manner:?}");
    }
    fake.set(Manner::Denies);
    for provider in ["google", "github"] {
        assert_eq!(round(&mut browser, provider).await, format!("{HOME}/auth/handoff#error=oauth-denied"));
    }
    // Codes that are none, more of them than failures that open a breaker.
    fake.set(Manner::Good);
    for n in 0..6 {
        let start = format!("{HOME}/v1/auth/oauth/google/start");
        let callback = browser.follow(&start, "/oauth/callback").await;
        let wrong = callback.replace(parameter(&callback, "code").unwrap(), &format!("wrong-{n}"));
        let answer = browser.get(&wrong).await;
        assert!(answer.is(303).header("location").unwrap().ends_with("#error=oauth-failed"), "{answer:?}");
    }
    assert_eq!(scene.told(&session.access).await.len(), before, "nothing happened");
    assert_eq!(metric(&scene.server, "freehold_breaker_changes_total").await, 0, "no lie trips a breaker");
    assert_eq!(fake.asked("/keys"), 1, "keys are kept, and an unknown one is asked for once a minute at most");
    fake.set(Manner::Good);
    for provider in ["google", "github"] {
        Session::of(&sign_in(&mut browser, provider).await);
    }
    let log = scene.server.log();
    for secret in [SECRET, "cAnArY", "eyJ", "fho_", "fhb_", "home.example", "583231"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_none_let_nobody_in() {
    let fake = Fake::of(ada()).await;
    let scene = Scene::with(fake.configure(Options::new(Engine::Sqlite))).await;
    fake.set(Manner::KeysGarbage);
    let address = round(&mut scene.browser(), "google").await;
    assert_eq!(address, format!("{HOME}/auth/handoff#error=oauth-failed"));
    fake.set(Manner::Good);
    sign_in(&mut scene.browser(), "google").await.is_problem(403, "oauth-not-admitted");
    assert_eq!(fake.asked("/keys"), 2, "without any they are asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_keeps_nobody_waiting_and_is_left_alone() {
    const OPEN: &str = "freehold_breaker_changes_total{service=\"oauth_google\",to=\"open\"}";
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(Engine::Sqlite))).await;
    let (mut browser, _) = scene.linked("google").await;
    let away = format!("{HOME}/auth/handoff#error=unavailable");
    for manner in Manner::AWAY {
        fake.set(manner);
        let begun = Instant::now();
        assert_eq!(round(&mut browser, "google").await, away, "{manner:?}");
        assert!(begun.elapsed() < BACK_WITHIN, "{manner:?}: {:?}", begun.elapsed());
    }
    assert_eq!(metric(&scene.server, OPEN).await, 1, "the fifth failure opens it");
    fake.set(Manner::Good);
    let asked = fake.asked("/token");
    assert_eq!(round(&mut browser, "google").await, away);
    assert_eq!(fake.asked("/token"), asked, "nobody is asked");
    let address = round(&mut browser, "github").await;
    assert!(parameter(&address, "code").is_some(), "the other provider has a breaker of its own: {address}");
    Session::of(&scene.conn.login(&scene.acme, &scene.acme.password).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_another_domain_is_not_admitted() {
    let fake = Fake::of(ada()).await;
    let options = fake.configure(Options::new(Engine::Sqlite)).env("FREEHOLD_OAUTH_GOOGLE_HD", "example.com");
    let scene = Scene::with(options).await;
    let mut browser = scene.browser();
    let started = browser.get(&format!("{HOME}/v1/auth/oauth/google/start")).await;
    assert_eq!(parameter(started.header("location").unwrap(), "hd"), Some("example.com"));
    let address = round(&mut browser, "google").await;
    assert_eq!(address, format!("{HOME}/auth/handoff#error=oauth-not-admitted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_configured_is_not_there() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    for provider in ["google", "github", "gitlab", "Google", "%00"] {
        conn.get(&format!("/v1/auth/oauth/{provider}/start"), None).await.is_problem(404, "not-found");
        let link = format!("/v1/auth/oauth/{provider}/link");
        conn.post(&link, Some(&access), &json!({})).await.is_problem(404, "not-found");
    }
    // Nor is the callback a tenant's, nor the rest the platform's.
    conn.get("/oauth/callback?code=x&state=y", None).await.is_problem(404, "not-found");
    let mut apex = Conn::open(server.http, "localhost").await;
    apex.get("/auth/handoff", None).await.is_problem(404, "not-found");
    apex.get("/v1/auth/oauth/google/start", None).await.is_problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_given_a_cookie_of_its_host_and_a_page_with_its_own_script_alone() {
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(Engine::Sqlite))).await;
    let mut browser = scene.browser();
    let started = browser.get(&format!("{HOME}/v1/auth/oauth/google/start")).await;
    let cookie = started.is(303).header("set-cookie").unwrap().to_owned();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax");
    assert!(pair.starts_with("__Host-freehold-oauth=fhb_") && pair.len() == COOKIE.len() + 48, "{pair}");
    assert_eq!(started.header("cache-control"), Some("no-store"));
    let location = started.header("location").unwrap();
    for (name, wanted) in [
        ("response_type", "code"),
        ("client_id", "freehold"),
        ("redirect_uri", "http%3A%2F%2Flocalhost%3A8080%2Foauth%2Fcallback"),
        ("code_challenge_method", "S256"),
        ("scope", "openid%20email%20profile"),
    ] {
        assert_eq!(parameter(location, name), Some(wanted), "{name}");
    }
    assert!(!location.contains(SECRET) && !location.contains("fhb_"), "{location}");

    let page = browser.get(&format!("{HOME}/auth/handoff")).await;
    assert_eq!(page.is(200).header("cache-control"), Some("no-store"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-") && !policy.contains("unsafe"), "{policy}");
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert_eq!(html.matches("<script").count(), html.matches(&format!("<script nonce=\"{nonce}\"")).count());
    assert!(html.contains("/v1/auth/oauth/handoff") && html.contains("oauth-denied"), "{html}");

    // With the cookie transport the refresh token stays out of reach of scripts.
    scene.linked("google").await;
    let address = round(&mut browser, "google").await;
    let body = json!({ "code": parameter(&address, "code").unwrap(), "transport": "cookie" });
    let answer = browser.post(&format!("{HOME}/v1/auth/oauth/handoff"), &body).await;
    assert!(answer.is(200).json().get("refresh_token").is_none());
    assert!(browser.cookie(HOST, "__Host-freehold-refresh").is_some());
    assert!(browser.cookie(HOST, "__Host-freehold-device").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_not_served_lets_nobody_in_by_a_provider() {
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(Engine::Sqlite))).await;
    let (mut browser, _) = scene.linked("google").await;
    let callback = browser.follow(&format!("{HOME}/v1/auth/oauth/google/start"), "/oauth/callback").await;
    let address = round(&mut browser, "google").await;
    assert!(scene.server.cli(&["tenant", "suspend", "acme"], "").status.success());
    browser.get(&callback).await.is_problem(403, "tenant-suspended");
    hand_off(&mut browser, &address).await.is_problem(403, "tenant-suspended");
    browser.get(&format!("{HOME}/v1/auth/oauth/google/start")).await.is_problem(403, "tenant-suspended");
}
