//! The base over real sockets: what a client sees that keeps to no rules.

mod http2;
mod wire;

use std::time::Duration;

use freehold_http::client_address::TrustedProxies;
use freehold_http::serve::ServeOptions;
use tokio::net::TcpStream;

use self::wire::{PATIENCE, Server, post_json};

#[tokio::test]
async fn a_good_request_is_answered_with_all_headers() {
    let server = Server::start(ServeOptions::default()).await;
    let mut wire = server.connect().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        wire.send(post_json("/hello", r#"{"name": "Ada"}"#)).await;
        let answer = wire.answer().await;
        answer.has_the_headers();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"Ada".as_slice()));
        ids.push(answer.header("x-request-id").expect("an id").to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 2, "every request has an id of its own");
}

#[tokio::test]
async fn a_request_names_exactly_one_host() {
    let server = Server::start(ServeOptions::default()).await;
    for bad in [
        "GET /list HTTP/1.1\r\nHost: acme.localhost\r\nHost: acme.localhost\r\n\r\n",
        "GET /list HTTP/1.1\r\n\r\n",
        "GET /list HTTP/1.0\r\n\r\n",
        "GET /list HTTP/1.1\r\nHost:\r\n\r\n",
        "GET /list HTTP/1.1\r\nHost: admin@acme.localhost\r\n\r\n",
        "GET /list HTTP/1.1\r\nHost: acme.localhost/x\r\n\r\n",
        "GET /list HTTP/1.1\r\nHost: \u{e4}cme.localhost\r\n\r\n",
        "GET http://globex.localhost/list HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
    ] {
        let body = server.ask(bad).await.is(400, "validation");
        assert_eq!(body["errors"][0]["field"], "(host)", "{bad}");
    }
    assert_eq!(server.ask("GET /list HTTP/1.1\r\nHost: ACME.localhost.:9\r\n\r\n").await.status, 200);
}

/// Another coding under the last one would be read as content (RFC 9112 §6.1).
#[tokio::test]
async fn a_body_is_chunked_and_not_encoded_besides() {
    let server = Server::start(ServeOptions::default()).await;
    for codings in ["gzip, chunked", "identity, chunked", "chunked\r\nTransfer-Encoding: chunked"] {
        let head =
            format!("GET /list HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: {codings}\r\n\r\n0\r\n\r\n");
        let body = server.ask(&head).await.is(400, "validation");
        assert!(["(transfer-encoding)", "(head)"].contains(&body["errors"][0]["field"].as_str().expect("a field")));
    }
}

#[tokio::test]
async fn unknown_hosts_and_routes_are_not_found() {
    let server = Server::start(ServeOptions::default()).await;
    for host in ["evil.test", "localhost", "admin.localhost", "api.localhost", "a.b.localhost", "127.0.0.1"] {
        server.ask(&format!("GET /list HTTP/1.1\r\nHost: {host}\r\n\r\n")).await.is(404, "not-found");
    }
    server.ask("GET /nothing HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await.is(404, "not-found");
    server.ask("OPTIONS * HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await.is(404, "not-found");
}

#[tokio::test]
async fn other_methods_are_405_with_allow() {
    let server = Server::start(ServeOptions::default()).await;
    for method in ["TRACE", "FROB", "POST", "OPTIONS", "DELETE"] {
        let answer = server.ask(&format!("{method} /list HTTP/1.1\r\nHost: acme.localhost\r\n\r\n")).await;
        answer.is(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{method}");
    }
    let answer = server.ask("CONNECT acme.localhost:80 HTTP/1.1\r\nHost: acme.localhost:80\r\n\r\n").await;
    answer.is(405, "method-not-allowed");
    assert!(answer.header("allow").is_some());
}

#[tokio::test]
async fn a_panic_is_a_500_with_nothing_but_its_id() {
    let server = Server::start(ServeOptions::default()).await;
    let mut wire = server.connect().await;
    for _ in 0..2 {
        wire.send("GET /boom HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
        let answer = wire.answer().await;
        answer.is(500, "internal");
        assert!(!String::from_utf8_lossy(&answer.body).contains("canary"));
    }
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_unread() {
    let server = Server::start(ServeOptions::default()).await;
    let head = |path: &str, rest: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: acme.localhost\r\nContent-Type: application/json\r\n{rest}\r\n\r\n")
    };
    // Announced: answered before a byte of it came, and no `100 Continue` before.
    for length in ["16385", "10737418240", "9223372036854775807"] {
        let request = head("/v1/auth/hello", &format!("Content-Length: {length}\r\nExpect: 100-continue"));
        let answer = server.ask(&request).await;
        answer.is(413, "payload-too-large");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    server.ask(&head("/hello", "Content-Length: 1048577")).await.is(413, "payload-too-large");
    // Not announced: it stops at the limit, though the client goes on sending.
    let mut wire = server.connect().await;
    wire.send(head("/v1/auth/hello", "Transfer-Encoding: chunked")).await;
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    for _ in 0..20 {
        wire.send(&chunk).await;
    }
    wire.answer().await.is(413, "payload-too-large");
    // At the limit it is read.
    let full = format!("{{\"name\": \"x\"{}}}", " ".repeat(16 * 1024 - 13));
    assert_eq!(server.ask(&post_json("/v1/auth/hello", &full)).await.status, 200);
}

#[tokio::test]
async fn a_body_that_dribbles_is_cut_off() {
    let server = Server::start_with(ServeOptions::default(), Duration::from_millis(200), vec![]).await;
    let mut wire = server.connect().await;
    wire.send(
        "POST /hello HTTP/1.1\r\nHost: acme.localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    )
    .await;
    let answer = wire.answer().await;
    answer.is(408, "request-timeout");
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn bad_json_is_a_400_that_echoes_nothing() {
    let server = Server::start(ServeOptions::default()).await;
    let deep = format!("{{\"name\": {}", "[".repeat(100_000));
    let nested = "{\"name\":".repeat(100_000);
    for bad in [
        &deep,
        &nested,
        "{",
        "{}",
        r#"{"name": 7, "canary": 1}"#,
        r#"{"name": "a", "name": "b"}"#,
        r#"{"name": "a\r\ncanary"}"#,
    ] {
        let answer = server.ask(&post_json("/hello", bad)).await;
        answer.is(400, "validation");
        assert!(!String::from_utf8_lossy(&answer.body).contains("canary"));
    }
    let text = post_json("/hello", "{}").replace("application/json", "text/plain");
    server.ask(&text).await.is(415, "unsupported-media-type");
    let twice = server.ask("GET /list?limit=1&limit=2 HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    assert_eq!(twice.is(400, "validation")["errors"][0]["field"], "limit");
}

#[tokio::test]
async fn overlong_targets_and_headers_are_problems() {
    let server = Server::start(ServeOptions::default()).await;
    let long = "x".repeat(9_000);
    server.ask(&format!("GET /{long} HTTP/1.1\r\nHost: acme.localhost\r\n\r\n")).await.is(414, "uri-too-long");
    let wide = format!("X-Pad: {long}\r\n").repeat(4);
    server.ask(&format!("GET / HTTP/1.1\r\nHost: acme.localhost\r\n{wide}\r\n")).await.is(431, "headers-too-large");
}

#[tokio::test]
async fn what_is_no_request_is_refused_like_one() {
    let server = Server::start(ServeOptions::default()).await;
    let head = |lines: &str| format!("GET /list HTTP/1.1\r\nHost: acme.localhost\r\n{lines}\r\n");
    let crowd = "X: x\r\n".repeat(101);
    let endless = format!("X-Pad: {}\r\n", "x".repeat(300_000));
    let unreadable = [
        ("nonsense\r\n\r\n".to_owned(), "validation"),
        ("\u{16}\u{3}\u{1}\0\u{1}".to_owned(), "validation"), // the beginning of TLS
        ("GET /list HTTP/3.0\r\n\r\n".to_owned(), "validation"),
        ("GET /a b HTTP/1.1\r\n\r\n".to_owned(), "validation"),
        ("GET /\u{0} HTTP/1.1\r\n\r\n".to_owned(), "validation"),
        (head("no colon\r\n"), "validation"),
        (head("X-\u{e9}: x\r\n"), "validation"),
        (head("X: a\0b\r\n"), "validation"),
        (head("Content-Length: -1\r\n"), "validation"),
        (head("Content-Length: 1\r\nContent-Length: 2\r\n"), "validation"),
        (head("Transfer-Encoding: gzip\r\n"), "validation"),
        (head(&crowd), "headers-too-large"),
        (head(&endless), "headers-too-large"),
    ];
    for (bytes, slug) in unreadable {
        let status = if slug == "validation" { 400 } else { 431 };
        // As the first thing on a connection; after an answer; and behind a request that is answered first. The
        // answers before it are errors too, and nobody takes them for hyper's.
        let lost = "GET /nothing HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
        for (before, waits) in [("", false), (lost, true), (lost, false)] {
            let mut wire = server.connect().await;
            if waits {
                wire.send(before).await;
                wire.answer().await.is(404, "not-found");
                wire.send(&bytes).await;
            } else {
                wire.send(format!("{before}{bytes}")).await;
            }
            if !before.is_empty() && !waits {
                wire.answer().await.is(404, "not-found");
            }
            let answer = wire.answer().await;
            let body = answer.is(status, slug);
            if status == 400 {
                assert_eq!(body["errors"][0]["field"], "(head)", "{bytes:.100}");
            }
            assert_eq!(answer.header("connection"), Some("close"), "{bytes:.100}");
            assert!(answer.header("date").is_some_and(|date| date.ends_with("GMT")), "{answer:?}");
            wire.closed().await;
            assert!(wire.unread.is_empty(), "{:?}", wire.unread);
        }
    }
}

#[tokio::test]
async fn a_connection_without_a_whole_request_is_cut_off() {
    let limits = ServeOptions {
        header_read_max: Duration::from_millis(250),
        idle_max: Duration::from_secs(5),
        ..ServeOptions::default()
    };
    let server = Server::start(limits).await;
    // Nothing; the beginning of either protocol; a head without an end.
    for opening in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM", "GET /list HTTP/1.1\r\nHost: acme"] {
        let mut wire = server.connect().await;
        wire.send(opening).await;
        let took = wire.closed().await;
        assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(2), "{opening:?} {took:?}");
    }
    // After a request the connection may idle longer, but the next head may not take longer.
    let mut wire = server.connect().await;
    wire.send("GET /list HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    assert_eq!(wire.answer().await.status, 200);
    tokio::time::sleep(Duration::from_millis(400)).await;
    wire.send("GET /list HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    assert_eq!(wire.answer().await.status, 200);
    wire.send("GET /li").await;
    let took = wire.closed().await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    // A slow handler is not idleness.
    let busy = server.ask("GET /slow HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    assert_eq!(busy.body, b"slow");
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let server = Server::start(ServeOptions { idle_max: Duration::from_millis(100), ..ServeOptions::default() }).await;
    let mut wire = server.connect().await;
    wire.send("GET /slow HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    assert_eq!(wire.answer().await.status, 200);
    // The alarm was set for the headers' ten seconds first: it must have come forward.
    let took = wire.closed().await;
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_peer_that_takes_no_bytes_is_cut_off() {
    let limits =
        ServeOptions { write_stall_max: Duration::from_millis(200), connections_max: 1, ..ServeOptions::default() };
    let server = Server::start(limits).await;
    let mut stuck = server.connect().await;
    stuck.send("GET /endless HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    // The only permit comes back although the first client never reads nor closes.
    assert_eq!(server.ask("GET /list HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn past_the_cap_connections_wait() {
    let server = Server::start(ServeOptions { connections_max: 1, ..ServeOptions::default() }).await;
    let mut first = server.connect().await;
    first.send("GET /list HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    assert_eq!(first.answer().await.status, 200);
    let mut second = server.connect().await;
    second.send("GET /list HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    let early = tokio::time::timeout(Duration::from_millis(150), second.more()).await;
    assert!(early.is_err(), "the second connection was served beside the first");
    drop(first);
    assert_eq!(second.answer().await.status, 200);
}

#[tokio::test]
async fn one_address_does_not_take_the_places_of_all() {
    const LIST: &str = "GET /list HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
    let bounded = || ServeOptions { per_address_max: 1, ..ServeOptions::default() };
    let server = Server::start(bounded()).await;
    let mut first = server.connect().await;
    first.send(LIST).await;
    assert_eq!(first.answer().await.status, 200);
    assert!(server.connect().await.closed().await < Duration::from_secs(1), "it is closed at once");
    drop(first);
    let freed = async {
        loop {
            let mut next = server.connect().await;
            next.send(LIST).await;
            if next.more().await.is_some() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), freed).await.expect("its place is free again");

    // Many clients come by a trusted proxy.
    let proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().expect("a network")]);
    let server = Server::start(ServeOptions { proxies, ..bounded() }).await;
    let (_first, mut second) = (server.connect().await, server.connect().await);
    second.send(LIST).await;
    assert_eq!(second.answer().await.status, 200);
}

#[tokio::test]
async fn the_drain_finishes_what_runs_and_ends_what_idles() {
    let server = Server::start(ServeOptions::default()).await;
    let mut idle = server.connect().await;
    idle.send("GET /list HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    idle.answer().await;
    let mut busy = server.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.cancel();
    let answer = busy.answer().await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"slow".as_slice()));
    assert_eq!(answer.header("connection"), Some("close"));
    idle.closed().await;
    drop((idle, busy));
    let left = tokio::time::timeout(PATIENCE, server.done).await.expect("drained in time").expect("no panic");
    assert_eq!(left, 0);
    assert!(TcpStream::connect(server.address).await.is_err(), "still listening");
}

#[tokio::test]
async fn the_drain_is_bounded() {
    let server = Server::start(ServeOptions { drain_max: Duration::from_millis(200), ..ServeOptions::default() }).await;
    let mut stuck = server.connect().await;
    stuck.send("GET /endless HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    stuck.more().await.expect("the answer began");
    server.stop.cancel();
    let left = tokio::time::timeout(PATIENCE, server.done).await.expect("ended in time").expect("no panic");
    assert_eq!(left, 1);
}

#[tokio::test]
async fn only_trusted_proxies_name_requests() {
    let request = "GET /list HTTP/1.1\r\nHost: acme.localhost\r\nX-Request-Id: canary\r\nX-Forwarded-Host: globex.localhost\r\n\r\n";
    let server = Server::start(ServeOptions::default()).await;
    assert_ne!(server.ask(request).await.header("x-request-id"), Some("canary"));
    let trusted = vec!["127.0.0.0/8".parse().expect("a network")];
    let server = Server::start_with(ServeOptions::default(), PATIENCE, trusted).await;
    assert_eq!(server.ask(request).await.header("x-request-id"), Some("canary"));
}

#[tokio::test]
async fn problems_have_pages_with_a_nonce() {
    let server = Server::start(ServeOptions::default()).await;
    let answer = server.ask("GET /problems/account-locked HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    answer.has_the_headers();
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let html = String::from_utf8(answer.body.clone()).expect("text");
    let nonce = html.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a nonce");
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.contains(&format!("style-src 'nonce-{nonce}'")), "{policy}");
    server.ask("GET /problems/made-up HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await.is(404, "not-found");
}
