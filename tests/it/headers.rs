//! The headers of every answer, whatever it says.

mod grid;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::raw;
use crate::support::{Answer, Conn, Engine, Options, Server};

/// How long it may take to fail often enough.
const PATIENCE: Duration = Duration::from_secs(30);

const ALWAYS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    (
        "permissions-policy",
        "camera=(), microphone=(), geolocation=(), accelerometer=(), display-capture=(), gyroscope=(), \
         hid=(), magnetometer=(), midi=(), payment=(), serial=(), usb=()",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];
const API_POLICY: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; upgrade-insecure-requests";

/// Asserts that the answer has every header, and this one for HSTS.
#[track_caller]
pub(crate) fn has_the_headers(answer: &Answer, hsts: Option<&str>, what: &str) {
    assert_eq!(answer.header("strict-transport-security"), hsts, "{what}");
    for (name, value) in ALWAYS {
        assert_eq!(answer.header(name), Some(value), "{what}: {name}");
    }
    let policy = answer.header("content-security-policy").unwrap();
    if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
        assert!(
            policy.starts_with("default-src 'none'; script-src 'nonce-") && !policy.contains("unsafe-"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'; base-uri 'none'"), "{policy}");
    } else {
        assert_eq!(policy, API_POLICY, "{what}");
    }
    let id = answer.header("x-request-id").unwrap_or_else(|| panic!("{what}: no x-request-id"));
    assert_eq!(id.len(), 36, "{what}");
    for name in ["server", "x-powered-by", "via", "access-control-allow-origin"] {
        assert_eq!(answer.header(name), None, "{what}: {name}");
    }
    assert_eq!(answer.headers.get_all("content-security-policy").iter().count(), 1, "{what}");
    if answer.status.is_client_error() || answer.status.is_server_error() {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        answer.problem();
    }
}

#[tokio::test]
async fn every_answer_has_them() {
    let options = Options::new(Engine::Sqlite).limits_off().env("FREEHOLD_LIMITS_LOGIN_ADDRESS", "3/h");
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    let mut seen = vec![];
    let mut check = |answer: Answer, status: u16, what: &str| {
        answer.is(status);
        has_the_headers(&answer, None, &format!("{what} {status}"));
        seen.push(status);
        answer
    };
    for path in ["/", "/problems/not-found", "/openapi.json", "/.well-known/jwks.json", "/readyz"] {
        check(conn.get(path, None).await, 200, path);
    }
    for path in ["/v1/me", "/v1/sessions"] {
        let answer = check(conn.get(path, Some(&access)).await, 200, path);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    check(conn.call("HEAD", "/v1/me", Some(&access)).await, 200, "HEAD");
    check(conn.get("/v1/me?x=1", Some(&access)).await, 400, "a parameter");
    check(conn.get("/v1/me", None).await, 401, "nobody");
    check(conn.get("/v1/me", Some("x")).await, 401, "a token that is none");
    check(conn.get("/nothing", None).await, 404, "no route");
    check(Conn::open(server.http, "nobody.localhost").await.get("/", None).await, 404, "no tenant");
    check(Conn::open(server.http, "evil.test").await.get("/", None).await, 404, "no host of ours");
    check(conn.call("PUT", "/v1/me", None).await, 405, "a method");
    check(conn.call("TRACE", "/v1/me", None).await, 405, "TRACE");
    let head = |rest: &str| format!("POST /v1/auth/login HTTP/1.1\r\nhost: acme.localhost\r\n{rest}\r\n");
    check(raw::ask(&server, head("content-length: 999999\r\n")).await, 413, "a body");
    check(raw::ask(&server, head("host: acme.localhost\r\ncontent-length: 0\r\n")).await, 400, "two hosts");
    check(raw::ask(&server, "nonsense\r\n\r\n").await, 400, "no request at all");
    check(raw::ask(&server, head("content-type: text/plain\r\ncontent-length: 0\r\n")).await, 415, "not JSON");
    check(conn.get(&format!("/{}", "x".repeat(9_000)), None).await, 414, "a long address");
    let crowd: Vec<_> = (0..95).map(|number| (format!("x-{number}"), "x".repeat(400))).collect();
    let crowd: Vec<_> = crowd.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    check(conn.send(conn.request("GET", "/", &crowd, b"")).await, 431, "many headers");
    let foreign = [("origin", "https://evil.test"), ("content-type", "application/json")];
    let body = json!({ "email": acme.email, "password": "not the password" }).to_string();
    check(conn.send(conn.request("POST", "/v1/auth/login", &foreign, body.as_bytes())).await, 403, "an origin");
    check(conn.login(&acme, "not the password").await, 401, "a wrong password");
    check(conn.login(&acme, &acme.password).await, 200, "a sign-in");
    let limited = check(conn.login(&acme, &acme.password).await, 429, "a limit");
    assert!(limited.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(limited.header("x-ratelimit-remaining"), Some("0"));
    assert!(server.cli(&["tenant", "suspend", "acme"], "").status.success());
    check(conn.get("/v1/me", Some(&access)).await, 403, "a suspended tenant");
    assert!(server.cli(&["tenant", "resume", "acme"], "").status.success());
    check(conn.call("POST", "/v1/auth/logout", Some(&access)).await, 204, "signed out");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [200, 204, 400, 401, 403, 404, 405, 413, 414, 415, 429, 431]);
}

#[tokio::test]
async fn a_fault_of_ours_has_them_too_and_says_nothing() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    conn.sign_in(&acme).await;
    // More panics than a tenant may have: it is kept apart, and says so. While it starts again there is nobody to strike.
    let mut kept_apart = None;
    let since = Instant::now();
    while kept_apart.is_none() && since.elapsed() < PATIENCE {
        let strike = json!({ "fault": "panic", "slug": "acme", "actor": "sessions" });
        Conn::open(server.private, "127.0.0.1").await.post("/debug/fault", None, &strike).await;
        let answer = conn.login(&acme, &acme.password).await;
        has_the_headers(&answer, None, "a sign-in among panics");
        kept_apart = Some(answer).filter(|answer| answer.status == 503 && answer.problem() == "tenant-quarantined");
    }
    let answer = kept_apart.expect("the tenant is kept apart");
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    let body = answer.json();
    let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["request_id", "status", "title", "type"]);
}

#[tokio::test]
async fn hsts_is_told_behind_tls_and_never_on_localhost() {
    let options = Options::new(Engine::Sqlite)
        .env("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1")
        .env("FREEHOLD_PLATFORM_DOMAIN", "example.com")
        .env("FREEHOLD_PLATFORM_PUBLIC_URL", "https://example.com");
    let server = Server::start(options).await;
    for (host, scheme, wanted) in [
        ("acme.example.com", "https", Some("max-age=63072000; includeSubDomains; preload")),
        ("acme.example.com", "http", None),
        ("localhost", "https", None),
        ("acme.localhost", "https", None),
        ("127.0.0.1", "https", None),
    ] {
        let mut conn = Conn::open(server.http, host).await;
        let answer = conn.send(conn.request("GET", "/", &[("x-forwarded-proto", scheme)], b"")).await;
        assert_eq!(answer.header("strict-transport-security"), wanted, "{scheme}://{host}");
    }
}

/// 128 random bits: that two of ten thousand are the same has a chance of 10⁻³¹.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_answers_of_a_page_have_as_many_nonces() {
    const ANSWERS: usize = 10_000;
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mut nonces = std::collections::HashSet::new();
    for _ in 0..ANSWERS {
        let answer = conn.get("/problems/not-found", None).await;
        let policy = answer.is(200).header("content-security-policy").unwrap().to_owned();
        let nonce = policy.split_once("script-src 'nonce-").unwrap().1.split_once('\'').unwrap().0.to_owned();
        assert_eq!(nonce.len(), 22, "{policy}");
        assert!(policy.contains(&format!("style-src 'nonce-{nonce}'")), "{policy}");
        let page = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(page.contains(&format!("nonce=\"{nonce}\"")), "the page has the nonce of its policy: {page}");
        assert!(nonces.insert(nonce), "a nonce that was there before");
    }
    assert_eq!(nonces.len(), ANSWERS);
}
