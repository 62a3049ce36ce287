//! The same rules over HTTP/2.

use std::time::Duration;

use freehold_http::serve::ServeOptions;

use crate::wire::Server;

#[tokio::test]
async fn http2_is_spoken_on_the_same_port_and_ends_with_goaway() {
    let server = Server::start(ServeOptions { drain_max: Duration::from_millis(200), ..ServeOptions::default() }).await;
    let mut wire = server.connect().await;
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    wire.more().await.expect("settings");
    server.stop.cancel();
    wire.closed().await;
    let mut rest = wire.unread.as_slice();
    let mut kinds = Vec::new();
    while let [a, b, c, kind, ..] = *rest {
        kinds.push(kind);
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    // SETTINGS is 4, GOAWAY is 7 (RFC 9113 §6).
    assert!(kinds.first() == Some(&4) && kinds.contains(&7), "{kinds:?}");
}

#[tokio::test]
async fn http2_requests_obey_the_same_rules() {
    let server = Server::start(ServeOptions::default()).await;
    let mut client = server.http2().await;
    for (target, host, status) in [
        ("http://acme.localhost/list", None, 200),
        ("http://acme.localhost:81/list", Some("acme.localhost:81"), 200),
        ("http://acme.localhost/list", Some("globex.localhost"), 400),
        ("http://user@acme.localhost/list", None, 400),
        ("http://evil.test/list", None, 404),
        ("http://acme.localhost/boom", None, 500),
    ] {
        let answer = client.ask("GET", target, host, "").await;
        answer.has_the_headers();
        assert_eq!(answer.status, status, "{target} {host:?}");
    }
    let answer = client.ask("POST", "http://acme.localhost/v1/auth/hello", None, &" ".repeat(20_000)).await;
    answer.is(413, "payload-too-large");
    assert_eq!(answer.header("connection"), None);
}
