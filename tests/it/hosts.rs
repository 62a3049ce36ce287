//! Which tenant a request is for: its one `Host` says so, and nothing else does.

use crate::raw;
use crate::support::{Conn, Engine, Options, Server};

/// The platform's own names, and what mail and web conventions give a meaning.
const RESERVED: [&str; 12] =
    ["admin", "api", "app", "auth", "cdn", "localhost", "login", "mail", "ns1", "root", "static", "www"];

async fn status(server: &Server, host: &str) -> u16 {
    Conn::open(server.http, host).await.get("/v1/me", None).await.status.as_u16()
}

#[tokio::test]
async fn a_host_is_found_whatever_its_case_port_and_last_dot() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    let token = Conn::to(&server, &acme).await.sign_in(&acme).await.access;
    for host in ["acme.localhost", "ACME.localhost", "acme.LocalHost.", "acme.localhost:8080", "acme.localhost.:1"] {
        assert_eq!(Conn::open(server.http, host).await.me(&token).await, 200, "{host}");
    }
    // The target may name the host as well, if it is the same (RFC 9112 §3.2.2).
    let absolute = |host: &str| format!("GET http://acme.localhost/v1/me HTTP/1.1\r\nhost: {host}\r\n\r\n");
    raw::ask(&server, absolute("acme.localhost")).await.is_problem(401, "unauthenticated");
    raw::ask(&server, absolute("globex.localhost")).await.is_problem(400, "validation");
}

#[tokio::test]
async fn other_hosts_are_not_found() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    let token = Conn::to(&server, &acme).await.sign_in(&acme).await.access;
    for host in [
        "globex.localhost",
        "acme",
        "localhost",
        "a.acme.localhost",
        "acme.localhost.evil.test",
        "evilacme.localhost",
        "acme.evil.test",
        "acmelocalhost",
        "9acme.localhost",
        "xn--cme-5cd.localhost",
        "127.0.0.1",
        "[::1]",
        "[::1]:80",
    ] {
        let mut conn = Conn::open(server.http, host).await;
        conn.get("/v1/me", Some(&token)).await.is_problem(404, "not-found");
        conn.login(&acme, &acme.password).await.is_problem(404, "not-found");
    }
    // The API host has routes of its own, which want a key.
    for slug in RESERVED.into_iter().filter(|slug| *slug != "api") {
        let mut conn = Conn::open(server.http, &format!("{slug}.localhost")).await;
        for path in ["/v1/me", "/v1/sessions", "/.well-known/jwks.json", "/openapi.json"] {
            conn.get(path, Some(&token)).await.is_problem(404, "not-found");
        }
        conn.login(&acme, &acme.password).await.is_problem(404, "not-found");
    }
}

#[tokio::test]
async fn what_a_problem_means_can_be_read_on_every_host() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    server.tenant("acme");
    assert!(server.cli(&["tenant", "suspend", "acme"], "").status.success());
    for host in
        ["acme.localhost", "nobody.localhost", "www.localhost", "localhost", "api.localhost", "evil.test", "[::1]"]
    {
        let mut conn = Conn::open(server.http, host).await;
        // What the host itself has to say leads to its explanation.
        let kind = conn.get("/v1/me", None).await.problem();
        let page = conn.get(&format!("/problems/{kind}"), None).await;
        assert_eq!(page.is(200).header("content-type"), Some("text/html; charset=utf-8"), "{host}");
        conn.get("/problems/nothing", None).await.is_problem(404, "not-found");
        conn.call("POST", "/problems/not-found", None).await.is_problem(405, "method-not-allowed");
    }
}

#[tokio::test]
async fn a_request_names_one_host_well() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    server.tenant("acme");
    let one = |line: &str| format!("GET /v1/me HTTP/1.1\r\n{line}\r\n");
    let bad = [
        "",
        "host:\r\n",
        "host: acme.localhost\r\nhost: acme.localhost\r\n",
        "host: acme.localhost\r\nHost: globex.localhost\r\n",
        "host: acme.localhost, globex.localhost\r\n",
        "host: user@acme.localhost\r\n",
        "host: user:password@acme.localhost\r\n",
        "host: acme.localhost:0\r\n",
        "host: acme.localhost:99999\r\n",
        "host: acme.localhost:80:80\r\n",
        "host: acme.localhost/v1\r\n",
        "host: acme.localhost#\r\n",
        "host: http://acme.localhost\r\n",
        "host: acme_.localhost\r\n",
        "host: acme..localhost\r\n",
        "host: -acme.localhost\r\n",
        "host: acme.localhost\t.evil\r\n",
        "host: \u{e4}cme.localhost\r\n",
        "host: [::1\r\n",
    ];
    for line in bad {
        let answer = raw::ask(&server, one(line)).await;
        answer.is_problem(400, "validation");
        assert_eq!(answer.json()["errors"][0]["field"], "(host)", "{line}");
    }
    let old = raw::ask(&server, "GET /v1/me HTTP/1.0\r\n\r\n").await;
    old.is_problem(400, "validation");
    raw::ask(&server, one("host: acme.localhost\r\n")).await.is_problem(401, "unauthenticated");
}

#[tokio::test]
async fn no_other_header_names_the_host() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut conn = Conn::to(&server, &acme).await;
    let bearer = format!("Bearer {}", conn.sign_in(&acme).await.access);
    for name in ["x-forwarded-host", "x-host", "x-original-host", "x-http-host-override", "x-tenant-id", "x-tenant"] {
        for value in ["globex.localhost", &globex.id, "nobody.localhost"] {
            let headers = [("authorization", bearer.as_str()), (name, value)];
            let me = conn.send(conn.request("GET", "/v1/me", &headers, b"")).await.is(200).json();
            assert_eq!(me["tenant"]["slug"], "acme", "{name}: {value}");
        }
    }
    let forwarded = [("authorization", bearer.as_str()), ("forwarded", "host=globex.localhost;proto=https")];
    let me = conn.send(conn.request("GET", "/v1/me", &forwarded, b"")).await.is(200).json();
    assert_eq!(me["tenant"]["slug"], "acme");
}

#[tokio::test]
async fn a_tenant_is_there_on_the_request_after_it_was_made() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let mut conn = Conn::open(server.http, "acme.localhost").await;
    for _ in 0..3 {
        conn.get("/v1/me", None).await.is_problem(404, "not-found");
    }
    let acme = server.tenant("acme");
    conn.get("/v1/me", None).await.is_problem(401, "unauthenticated");
    conn.sign_in(&acme).await;
}

#[tokio::test]
async fn a_slug_is_one_label_that_is_not_taken_or_reserved() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    server.tenant("acme");
    let long = "a".repeat(64);
    let wrong = [
        "Acme", "ACME", "ac_me", "9acme", "acme-", "-acme", "ac.me", "ac me", "\u{e4}cme", "acme\n", "", "*",
        "acme.localhost", "../acme", "xn--cme-5cd", &long, "acme",
    ];
    for slug in wrong.into_iter().chain(RESERVED) {
        let made = server.cli(&["tenant", "create", "--admin-email", "ada@example.com", "--", slug], "");
        let said = String::from_utf8_lossy(&made.stderr);
        assert_eq!((made.status.code(), made.stdout.as_slice()), (Some(65), b"".as_slice()), "{slug}: {said}");
        assert!(!said.is_empty(), "{slug}");
    }
    let longest = "a".repeat(63);
    for slug in ["a", "a-9", longest.as_str()] {
        server.tenant(slug);
        assert_eq!(status(&server, &format!("{slug}.localhost")).await, 401, "{slug}");
    }
    let listed = String::from_utf8(server.cli(&["tenant", "list"], "").stdout).unwrap();
    assert_eq!(listed.lines().count(), 4, "{listed}");
}
