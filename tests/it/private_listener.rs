//! The private listener: for whoever is on the machine, and for no web page.

use serde_json::Value;

use crate::support::{Conn, Engine, Options, Server, Session};

const PATHS: [&str; 4] = ["/metrics", "/livez", "/readyz", "/debug/tree"];

#[tokio::test]
async fn it_answers_local_hosts_alone() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    for host in ["127.0.0.1", "127.0.0.1:9090", "localhost", "LOCALHOST:9090", "[::1]", "10.1.2.3", "[2001:db8::1]:80"]
    {
        for path in PATHS {
            Conn::open(server.private, host).await.get(path, None).await.is(200);
        }
    }
    for host in [
        "evil.test",
        "rebound.evil.test:9090",
        "example.com",
        "localhost.evil.test",
        "127.0.0.1.nip.io",
        "metrics",
        "acme.localhost",
    ] {
        for path in PATHS {
            let answer = Conn::open(server.private, host).await.get(path, None).await;
            answer.is_problem(404, "not-found");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    }
    let ready = server.private_get("/readyz").await;
    assert_eq!(ready.json(), serde_json::json!({ "reasons": [] }));
}

#[tokio::test]
async fn its_routes_are_not_public() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    server.tenant("acme");
    for host in ["acme.localhost", "localhost", "127.0.0.1", "admin.localhost", "api.localhost"] {
        let mut conn = Conn::open(server.http, host).await;
        for path in ["/metrics", "/livez", "/debug/tree", "/debug/fault", "/debug/counts"] {
            conn.get(path, None).await.is_problem(404, "not-found");
        }
    }
    let ready = Conn::open(server.http, "acme.localhost").await.get("/readyz", None).await;
    assert_eq!((ready.is(200).body.len(), ready.header("content-type")), (0, None), "not a word why");
}

/// One sample: its name and its labels.
fn sample(line: &str) -> (&str, Vec<(&str, &str)>) {
    let Some((name, rest)) = line.split_once('{') else { return (line.split(' ').next().unwrap(), vec![]) };
    let (labels, _) = rest.rsplit_once('}').unwrap();
    let labels = labels.split("\",").map(|pair| pair.split_once("=\"").unwrap());
    (name, labels.map(|(label, value)| (label, value.trim_end_matches('"'))).collect())
}

#[tokio::test]
async fn metrics_have_good_names_and_know_no_tenant() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme-canary-tenant");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    Session::of(&conn.refresh(&session.refresh).await);
    conn.login(&acme, "not the password").await.is(401);
    conn.get("/canary-path", None).await.is(404);
    conn.call("CANARY-METHOD", "/v1/me", None).await.is(405);
    conn.get("/v1/sessions?limit=canary-query", Some(&session.access)).await.is(400);

    let answer = server.private_get("/metrics").await;
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let valid = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            && name.starts_with(|first: char| first.is_ascii_lowercase())
    };
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert!(samples.len() > 10, "{text}");
    for line in &samples {
        let (name, labels) = sample(line);
        assert!(valid(name) && name.starts_with("freehold_"), "{line}");
        assert!(labels.iter().all(|(label, _)| valid(label) && !label.contains("tenant")), "{line}");
        assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
    }
    for private in ["canary", &acme.id, &acme.email, &session.id, "127.0.0.1"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
    assert!(
        samples
            .iter()
            .any(|line| line.starts_with("freehold_http_requests_total{") && line.contains("method=\"other\""))
    );
}

#[tokio::test]
async fn the_tree_is_shown_without_secrets() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    let session = Conn::to(&server, &acme).await.sign_in(&acme).await;
    let tree: Value = server.private_get("/debug/tree").await.is(200).json();
    let text = tree.to_string();
    assert!(text.contains("acme"), "{text}");
    for secret in [acme.email.as_str(), &acme.password, &session.access, &session.refresh] {
        assert!(!text.contains(secret), "{text}");
    }
}
