//! Every operation that is described, at every host, and every kind of answer: each has every header.

use serde_json::json;

use super::has_the_headers;
use crate::openapi::operations;
use crate::raw;
use crate::support::{Answer, Conn, Engine, Options, Server};

const DOMAIN: &str = "example.com";
const HSTS: &str = "max-age=63072000; includeSubDomains; preload";
const PASSWORD: &str = "correct horse battery staple";

fn options() -> Options {
    Options::new(Engine::Sqlite)
        .env("FREEHOLD_PROFILE", "production")
        .env("FREEHOLD_PLATFORM_DOMAIN", DOMAIN)
        .env("FREEHOLD_PLATFORM_PUBLIC_URL", "https://example.com")
        .env("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1")
        .env("FREEHOLD_SECURITY_CONTACT", "mailto:security@example.com")
        .env("FREEHOLD_OAUTH_GITHUB_CLIENT_ID", "freehold")
        .env("FREEHOLD_OAUTH_GITHUB_CLIENT_SECRET", "a-client-secret")
        .env("FREEHOLD_LIMITS_API_MEMBER", "10000/s")
}

/// A host, and who asks there: nobody, an admin, a holder of a key.
struct Asked {
    host: String,
    credentials: Vec<Option<(&'static str, String)>>,
    operations: Vec<(String, String)>,
}

impl Asked {
    async fn open(&self, server: &Server) -> Conn {
        Conn::open(server.http, &self.host).await.by_https()
    }
}

async fn asked(server: &Server, host: &str, credential: Option<(&'static str, String)>) -> Asked {
    let host = format!("{host}.{DOMAIN}");
    let mut conn = Conn::open(server.http, &host).await.by_https();
    let operations = operations(&mut conn).await.into_iter().map(|(method, path, _)| {
        let slug = if path.starts_with("/problems/") { "not-found" } else { "acme" };
        let path = path.replace("{slug}", slug).replace("{provider}", "github");
        (method, path.replace("{id}", "019a0000-0000-7000-8000-000000000000"))
    });
    Asked { host, credentials: vec![None, credential], operations: operations.collect() }
}

/// The admin of a tenant, or an operator, signs in.
async fn bearer(server: &Server, host: &str, email: &str) -> String {
    let mut conn = Conn::open(server.http, &format!("{host}.{DOMAIN}")).await.by_https();
    let answer = conn.post("/v1/auth/login", None, &json!({ "email": email, "password": PASSWORD })).await;
    format!("Bearer {}", answer.is(200).json()["access_token"].as_str().unwrap())
}

async fn every_host(server: &Server) -> Vec<Asked> {
    let password = format!("{PASSWORD}\n");
    for made in [
        ["tenant", "create", "acme", "--admin-email", "ada@example.com", "--admin-password-stdin"].as_slice(),
        &["operator", "create", "olga@example.com", "--password-stdin"],
    ] {
        let output = server.cli(made, &password);
        assert!(output.status.success(), "{output:?}");
    }
    let (admin, operator) =
        (bearer(server, "acme", "ada@example.com").await, bearer(server, "admin", "olga@example.com").await);
    let mut conn = Conn::open(server.http, "acme.example.com").await.by_https();
    let key = json!({ "name": "server", "kind": "secret" }).to_string();
    let headers = [("authorization", admin.as_str()), ("content-type", "application/json")];
    let key = conn.send(conn.request("POST", "/v1/api-keys", &headers, key.as_bytes())).await.is(201).json();
    let key = key["key"].as_str().unwrap().to_owned();
    vec![
        asked(server, "acme", Some(("authorization", admin))).await,
        asked(server, "admin", Some(("authorization", operator))).await,
        asked(server, "api", Some(("x-nd-key", key))).await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_them_on_every_kind_of_answer() {
    let server = Server::start(options().env("FREEHOLD_LIMITS_ADDRESS", "100000/s")).await;
    let limited = Server::start(options().env("FREEHOLD_LIMITS_ADDRESS", "1/h")).await;
    let mut seen = vec![];
    for asked in every_host(&server).await {
        let mut conn = asked.open(&server).await;
        let mut late = asked.open(&limited).await;
        late.get("/", None).await;
        let crowd: Vec<_> = (0..95).map(|number| (format!("x-{number}"), "x".repeat(400))).collect();
        let crowd: Vec<_> = crowd.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for (request, status) in [
            (conn.request("GET", &format!("/{}", "x".repeat(9_000)), &[], b""), 414),
            (conn.request("GET", "/", &crowd, b""), 431),
        ] {
            has_the_headers(conn.send(request).await.is(status), Some(HSTS), &format!("{status} at {}", asked.host));
        }
        for (method, path) in &asked.operations {
            let mut check = |answer: Answer, wanted: Option<u16>, hsts: Option<&str>| {
                let status = answer.status.as_u16();
                let what = format!("{method} {path} at {}: {status}", asked.host);
                assert!(wanted.is_none_or(|wanted| wanted == status), "{what}, not {wanted:?}");
                has_the_headers(&answer, hsts, &what);
                seen.push(status);
            };
            let json = ("content-type", "application/json");
            // As it is, by nobody and by somebody; reading alone, so that nobody is signed out.
            for credential in &asked.credentials {
                let mut headers = vec![json];
                headers.extend(credential.as_ref().map(|(name, value)| (*name, value.as_str())));
                if credential.is_none() || method == "GET" {
                    let answer = conn.send(conn.request(method, path, &headers, b"")).await;
                    check(answer, None, Some(HSTS));
                }
                if credential.is_some() {
                    let below = format!("{}/nothing/at/all", path.trim_end_matches('/'));
                    check(conn.send(conn.request(method, &below, &headers, b"")).await, Some(404), Some(HSTS));
                    check(conn.send(conn.request("TRACE", path, &headers, b"")).await, Some(405), Some(HSTS));
                }
            }
            let large = format!(
                "POST {path} HTTP/1.1\r\nhost: {}\r\nx-forwarded-proto: https\r\ncontent-length: 9999999\r\n\r\n",
                asked.host
            );
            check(raw::ask(&server, large).await, Some(413), Some(HSTS));
            check(late.call(method, path, None).await, Some(429), Some(HSTS));
            let mut plain = conn.request(method, path, &[], b"");
            plain.headers_mut().remove("x-forwarded-proto");
            let is_probe = path == "/readyz"; // answered as it comes
            check(conn.send(plain).await, (!is_probe).then_some(308), None);
        }
        server.fault(json!({ "fault": "panic_on_requests", "on": true })).await;
        for (method, path) in &asked.operations {
            let answer = conn.call(method, path, None).await;
            has_the_headers(answer.is(500), Some(HSTS), &format!("{method} {path} at {}, which fails", asked.host));
        }
        server.fault(json!({ "fault": "panic_on_requests", "on": false })).await;
    }
    assert!(seen.len() > 500, "{} answers", seen.len());
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [200, 204, 303, 308, 400, 401, 403, 404, 405, 413, 415, 429]);
}
