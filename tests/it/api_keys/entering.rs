//! Who enters at the API host: typos, origins, states, limits.

use std::time::{Duration, Instant};

use freehold_domain::api_key::{ApiKey, KeyKind};
use freehold_domain::id::TenantId;
use freehold_domain::time::UnixMs;
use serde_json::{Value, json};

use super::{CONFIG, SHOP, Scene, config};
use crate::openapi::is_committed;
use crate::support::{Answer, Conn, Engine, Options, on_both_engines};
use crate::watch::{remaining, set_limit};

/// Within which another node knows.
const SOON: Duration = Duration::from_secs(1);

on_both_engines! {
    a_key_that_is_not_good_has_one_answer_and_a_typo_touches_no_store
}

/// The body without what names the request.
fn without_id(answer: &Answer) -> Value {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("request_id");
    body
}

async fn a_key_that_is_not_good_has_one_answer_and_a_typo_touches_no_store(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    let (id, key) = scene.secret().await;
    let (_, live) = scene.publishable().await;
    scene.config(&key).await.is(200);
    scene.config(&live).await.is(200);
    let acme: TenantId = scene.acme.id.parse().unwrap();
    let nobody = TenantId::new(UnixMs::new(1), [7; 10]);
    let of = |tenant: TenantId| ApiKey::from_random(KeyKind::Secret, tenant, [9; 32]).text().expose().clone();

    let missing = scene.api.get(CONFIG, None).await;
    missing.is_problem(401, "unauthenticated");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer"));
    let mut mistyped: Vec<String> = (10..key.len() - 1).step_by(7).map(|place| typo(&key, place)).collect();
    mistyped.extend(["", "x", "nd_secret_", "nd_live_AAAA"].map(str::to_owned));
    mistyped.extend([key.to_uppercase(), format!("{key}A"), key.replace("nd_secret_", "nd_live_")]);

    let before = scene.server.count("transactions").await;
    for bad in &mistyped {
        let answer = scene.config(bad).await;
        assert_eq!((answer.status.as_u16(), without_id(&answer)), (401, without_id(&missing)), "{bad}");
    }
    let twice = [("x-nd-key", key.as_str()), ("x-nd-key", key.as_str())];
    let answer = scene.api.send(scene.api.request("GET", CONFIG, &twice, b"")).await;
    assert_eq!(without_id(&answer), without_id(&missing));
    // Well made and nobody's: compared with what is loaded already.
    assert_eq!(without_id(&scene.config(&of(acme)).await), without_id(&missing));
    let after = scene.server.count("transactions").await;
    // What runs in the background may read: on a shared store the change feed does.
    assert!(engine == Engine::Postgres || after == before, "{before} {after}");

    // Of no tenant at all: the directory is asked, and remembers for a second that there is none.
    let before = scene.server.count("transactions").await;
    for _ in 0..10 {
        assert_eq!(without_id(&scene.config(&of(nobody)).await), without_id(&missing));
    }
    let after = scene.server.count("transactions").await;
    assert!(engine == Engine::Postgres || (1..=3).contains(&(after - before)), "{before} {after}");

    let access = scene.access.clone();
    scene.conn.call("DELETE", &format!("/v1/api-keys/{id}"), Some(&access)).await.is(204);
    let revoked = scene.config(&key).await;
    assert_eq!((revoked.status.as_u16(), without_id(&revoked)), (401, without_id(&missing)));
}

/// The key with another character at this place.
fn typo(key: &str, place: usize) -> String {
    let other = if key.as_bytes()[place] == b'x' { "y" } else { "x" };
    format!("{}{other}{}", &key[..place], &key[place + 1..])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenants_key_is_answered_without_store_access() {
    let mut scene = Scene::new(Engine::Sqlite).await;
    let (_, key) = scene.secret().await;
    scene.config(&key).await.is(200);
    assert!(scene.server.cli(&["tenant", "suspend", "acme"], "").status.success());
    let before = scene.server.count("transactions").await;
    for _ in 0..5 {
        let answer = scene.config(&key).await;
        answer.is_problem(403, "tenant-suspended");
        assert_eq!(answer.json()["error"], "TenantSuspendedError");
    }
    assert_eq!(scene.server.count("transactions").await, before);
    assert!(scene.server.cli(&["tenant", "resume", "acme"], "").status.success());
    scene.config(&key).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_from_its_origins_and_a_secret_one_from_no_page() {
    let mut scene = Scene::new(Engine::Sqlite).await;
    let (_, secret) = scene.secret().await;
    let (_, live) = scene.publishable().await;
    let table: [(&str, &[&str], Option<&str>); 11] = [
        (&live, &[SHOP], None),
        (&live, &[], Some("csrf")),
        (&live, &["null"], Some("csrf")),
        (&live, &["http://shop.example"], Some("csrf")),
        (&live, &["https://shop.example:444"], Some("csrf")),
        (&live, &["https://shop.example.evil.test"], Some("csrf")),
        (&live, &["https://evil.test"], Some("csrf")),
        (&live, &[SHOP, SHOP], Some("csrf")),
        (&secret, &[], None),
        (&secret, &[SHOP], Some("forbidden")),
        (&secret, &["null"], Some("forbidden")),
    ];
    for (key, origins, refused) in table {
        let mut headers = vec![("x-nd-key", key)];
        headers.extend(origins.iter().map(|origin| ("origin", *origin)));
        let answer = scene.api.send(scene.api.request("GET", CONFIG, &headers, b"")).await;
        let allowed = answer.header("access-control-allow-origin");
        if let Some(slug) = refused {
            answer.is_problem(403, slug);
            assert_eq!(allowed, None, "{origins:?}");
        } else {
            assert_eq!(allowed, origins.first().copied(), "{answer:?}");
            assert_eq!((answer.is(200).header("vary"), answer.header("set-cookie")), (Some("origin"), None));
        }
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }

    // What is refused after the key was taken can be read by the page, too.
    let headers = [("x-nd-key", live.as_str()), ("origin", SHOP)];
    for (method, path, status) in [("GET", "/v1/nothing", 404), ("POST", CONFIG, 405), ("GET", "/v1/config?x=1", 400)] {
        let answer = scene.api.send(scene.api.request(method, path, &headers, b"")).await;
        assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (status, Some(SHOP)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_may_ask_before_it_sends() {
    let mut scene = Scene::new(Engine::Sqlite).await;
    let ask =
        [("origin", SHOP), ("access-control-request-method", "GET"), ("access-control-request-headers", "x-nd-key")];
    let answer = scene.api.send(scene.api.request("OPTIONS", CONFIG, &ask, b"")).await;
    assert_eq!(answer.is(204).header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("content-type, x-nd-key"));
    assert_eq!((answer.header("access-control-allow-credentials"), answer.header("set-cookie")), (None, None));
    // Another question without a key is none, and a tenant's own host shares with nobody.
    scene.api.send(scene.api.request("OPTIONS", CONFIG, &ask[..1], b"")).await.is_problem(401, "unauthenticated");
    let answer = scene.conn.send(scene.conn.request("OPTIONS", "/v1/me", &ask, b"")).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (405, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_for_its_scopes_alone() {
    let mut scene = Scene::new(Engine::Sqlite).await;
    let (_, chat) = scene.made(json!({ "name": "chat", "kind": "secret", "scopes": ["chat"] })).await;
    let (_, reads) = scene.made(json!({ "name": "config", "kind": "secret", "scopes": ["config"] })).await;
    scene.config(&chat).await.is_problem(403, "forbidden");
    assert_eq!(scene.config(&reads).await.is(200).json()["key"]["scopes"], json!(["config"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_limited_and_so_is_their_tenant_and_a_wrong_one_costs_its_address() {
    let options = Options::new(Engine::Sqlite).limits_off();
    let mut scene = Scene::with(options.env("FREEHOLD_LIMITS_ADDRESS", "600/min")).await;
    set_limit(&scene.server, "acme", "api-member", "4/h");
    set_limit(&scene.server, "acme", "api-tenant", "30/h");
    let [one, two] = [scene.secret().await.1, scene.secret().await.1]; // two of four for the admin, too
    for n in (0..4).rev() {
        let answer = scene.config(&one).await;
        assert_eq!((answer.is(200).header("x-ratelimit-tier"), remaining(&answer)), (Some("api-member"), n));
    }
    let refused = scene.config(&one).await;
    refused.is_problem(429, "rate-limited");
    assert_eq!(
        (refused.json()["tier"].as_str(), refused.header("x-ratelimit-tier")),
        (Some("api-member"), Some("api-member"))
    );
    assert_eq!(remaining(&scene.config(&two).await), 3, "another key has its own");

    // Two keys share what the tenant has: two were made, and six times they were used or tried.
    set_limit(&scene.server, "acme", "api-member", "off");
    let left = remaining(&scene.config(&two).await);
    assert_eq!(remaining(&scene.config(&one).await), left - 1);
    let good = ApiKey::from_random(KeyKind::Secret, scene.acme.id.parse().unwrap(), [9; 32]).text().expose().clone();
    for wrong in [good, "nd_secret_x".to_owned()] {
        let before = scene.config("").await;
        let answer = scene.config(&wrong).await;
        answer.is_problem(401, "unauthenticated");
        assert_eq!(answer.header("x-ratelimit-tier"), Some("address"));
        assert_eq!(remaining(&answer) + 1, remaining(&before), "it costs its address");
    }
    assert_eq!(remaining(&scene.config(&two).await), left - 2, "and its tenant nothing");
}

/// Each visitor of a page has a bucket of its own: one of them does not use up what is there for all.
#[tokio::test(flavor = "multi_thread")]
async fn visitors_share_a_publishable_key_and_not_its_limit() {
    let options = Options::new(Engine::Sqlite).limits_off().env("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1");
    let mut scene = Scene::with(options).await;
    let (live, secret) = (scene.publishable().await.1, scene.secret().await.1);
    set_limit(&scene.server, "acme", "api-member", "2/h");
    for (key, expected) in [(&live, [200, 200, 429, 200, 200]), (&secret, [200, 200, 429, 429, 429])] {
        let from = ["198.51.100.1", "198.51.100.1", "198.51.100.1", "198.51.100.2", "2001:db8::1"];
        for (address, status) in from.into_iter().zip(expected) {
            let mut headers = vec![("x-nd-key", key.as_str()), ("x-forwarded-for", address)];
            headers.extend(key.starts_with("nd_live_").then_some(("origin", SHOP)));
            let answer = scene.api.send(scene.api.request("GET", CONFIG, &headers, b"")).await;
            assert_eq!(answer.status.as_u16(), status, "{address}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_does_to_a_key_holds_on_the_other_within_a_second() {
    let mut scene = Scene::new(Engine::Postgres).await;
    let other = scene.server.another();
    let mut on_other = Conn::open(other.http, "api.localhost").await;
    let (id, key) = scene.secret().await;
    soon(&mut on_other, &key, 200).await;
    let next = scene.rotated(&id, 0).await;
    scene.config(&key).await.is(401);
    soon(&mut on_other, &key, 401).await;
    config(&mut on_other, &next).await.is(200);
    let access = scene.access.clone();
    scene.conn.call("DELETE", &format!("/v1/api-keys/{id}"), Some(&access)).await.is(204);
    scene.config(&next).await.is(401);
    soon(&mut on_other, &next, 401).await;
}

/// Asks until the key is answered with this status, which must be soon.
async fn soon(api: &mut Conn, key: &str, status: u16) {
    let since = Instant::now();
    while config(api, key).await.status != status {
        assert!(since.elapsed() < SOON, "not {status}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_document_of_the_api_host_is_the_one_that_is_served() {
    let mut scene = Scene::new(Engine::Sqlite).await;
    let answer = scene.api.get("/openapi.json", None).await;
    is_committed(&answer, "openapi.api.json");
    // What is described is there, and nothing of a tenant's host.
    for path in answer.json()["paths"].as_object().unwrap().keys() {
        let status = scene.api.get(&path.replace("{slug}", "not-found"), None).await.status.as_u16();
        let wanted = match path.as_str() {
            "/.well-known/security.txt" => 404, // nobody is named
            path if path.starts_with("/v1/") => 401,
            _ => 200,
        };
        assert_eq!(status, wanted, "{path}");
    }
    let (_, key) = scene.secret().await;
    for path in ["/v1/me", "/v1/api-keys", "/v1/audit", "/v1/sessions"] {
        let headers = [("x-nd-key", key.as_str())];
        scene.api.send(scene.api.request("GET", path, &headers, b"")).await.is_problem(404, "not-found");
    }
    for path in ["/", "/.well-known/jwks.json"] {
        scene.api.get(path, None).await.is_problem(404, "not-found");
    }
}
