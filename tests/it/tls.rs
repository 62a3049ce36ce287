//! TLS on the public listener, and what becomes of requests that come without.

use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Authority, Conn, Engine, Files, Folder, Options, Server, Tenant};
use crate::watch::until;

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// A server with two certificates.
struct Scene {
    server: Server,
    authority: Authority,
    folder: Folder,
    acme: Tenant,
}

impl Scene {
    async fn new() -> Self {
        let (authority, folder) = (Authority::new(), Folder::new());
        let platform = authority.certify(folder.path(), "platform", &["*.example.test", "example.test"]);
        let shop = authority.certify(folder.path(), "shop", &["shop.test"]);
        let list = |one: fn(&Files) -> &std::path::PathBuf| {
            [&platform, &shop].map(|files| one(files).display().to_string()).join(",")
        };
        let options = Options::new(Engine::Sqlite)
            .limits_off()
            .env("FREEHOLD_PLATFORM_DOMAIN", "example.test")
            .env("FREEHOLD_PLATFORM_PUBLIC_URL", "https://example.test:8443")
            .env("FREEHOLD_HTTP_TLS_CERT", &list(|files| &files.cert))
            .env("FREEHOLD_HTTP_TLS_KEY", &list(|files| &files.key))
            .env("FREEHOLD_HTTP_REDIRECT_LISTEN", "127.0.0.1:0");
        let server = Server::start(options).await;
        let acme = server.tenant("acme");
        Self { server, authority, folder, acme }
    }

    /// A connection that asked for this name, for requests to `host`; and the certificate it was shown.
    async fn conn(&self, name: &str, host: &str) -> (Conn, Vec<u8>) {
        let stream = self.authority.connect(self.server.http, name, &BOTH, &["http/1.1"]).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        (Conn::over(stream, host).await, shown)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let scene = Scene::new().await;
    let cases: [(&SupportedProtocolVersion, ProtocolVersion); 2] =
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)];
    for (version, spoken) in cases {
        for protocol in ["h2", "http/1.1"] {
            let stream = scene.authority.connect(scene.server.http, "acme.example.test", &[version], &[protocol]).await;
            let stream = stream.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(
                (session.protocol_version(), session.alpn_protocol()),
                (Some(spoken), Some(protocol.as_bytes()))
            );
        }
    }
    let (mut conn, _) = scene.conn("acme.example.test", "acme.example.test").await;
    let session = conn.sign_in(&scene.acme).await;
    let me = conn.get("/v1/me", Some(&session.access)).await;
    assert!(me.is(200).header("strict-transport-security").is_some(), "it came over TLS: {me:?}");

    // A client that knows no more than TLS 1.1, and one that knows no TLS.
    let alert = answer_to(&scene.server, &hello_of_tls_1_1()).await;
    assert_eq!((alert.first(), &alert[5..]), (Some(&21), [2, 70].as_slice()), "fatal: protocol_version");
    let answer = answer_to(&scene.server, b"GET / HTTP/1.1\r\nhost: acme.example.test\r\n\r\n").await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

/// What the public listener answers to these bytes, to the end.
async fn answer_to(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(server.http).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = vec![];
    drop(socket.read_to_end(&mut answer).await);
    answer
}

/// RFC 4346 §7.4.1.2: version 3.2, some random bytes, no session, three cipher suites, no compression; then the groups, point
/// formats and signatures that it can do, so that nothing but its version is wrong with it.
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    body.extend([0, 0, 6, 0xc0, 0x14, 0xc0, 0x13, 0, 0x2f, 1, 0]);
    body.extend([0, 22, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3]);
    let body_len = u8::try_from(body.len()).unwrap();
    let mut hello = vec![22, 3, 1, 0, body_len + 4, 1, 0, 0, body_len];
    hello.extend(body);
    hello
}

#[tokio::test(flavor = "multi_thread")]
async fn each_host_has_its_certificate_and_its_connections() {
    let scene = Scene::new().await;
    let globex = scene.server.tenant("globex");
    let (_, platform) = scene.conn("acme.example.test", "acme.example.test").await;
    let (_, shop) = scene.conn("shop.test", "shop.test").await;
    assert_ne!(platform, shop);
    // One certificate, several hosts: that connection serves them all, and no other.
    let (mut conn, _) = scene.conn("acme.example.test", "globex.example.test").await;
    conn.sign_in(&globex).await;
    for (name, host) in
        [("acme.example.test", "shop.test"), ("shop.test", "acme.example.test"), ("shop.test", "evil.test")]
    {
        let (mut conn, _) = scene.conn(name, host).await;
        let answer = conn.get("/", None).await;
        answer.is_problem(421, "misdirected-request");
        assert!(answer.header("content-security-policy").is_some());
    }
    for unknown in ["evil.test", "a.b.example.test"] {
        assert!(scene.authority.connect(scene.server.http, unknown, &BOTH, &["h2"]).await.is_err(), "{unknown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_replaced_is_shown_to_whoever_comes_next() {
    let scene = Scene::new().await;
    let (mut open, before) = scene.conn("acme.example.test", "acme.example.test").await;
    let session = open.sign_in(&scene.acme).await;
    scene.authority.certify(scene.folder.path(), "platform", &["*.example.test"]);
    let (after, _) = until("the new one is shown", async || {
        let (_, shown) = scene.conn("acme.example.test", "acme.example.test").await;
        (shown != before).then_some(shown)
    })
    .await;
    assert_eq!(open.me(&session.access).await, 200, "a connection that was open goes on");

    // What cannot be used changes nothing, and is said.
    std::fs::write(scene.folder.path().join("platform.crt"), "no certificate").unwrap();
    until("it is said", async || Some(scene.server.log()).filter(|log| log.contains("a certificate was refused")))
        .await;
    assert_eq!(scene.conn("acme.example.test", "acme.example.test").await.1, after);
    scene.authority.certify(scene.folder.path(), "platform", &["other.test"]);
    until("it is said", async || {
        Some(scene.server.log()).filter(|log| log.contains("no certificate for example.test"))
    })
    .await;
    assert_eq!(scene.conn("acme.example.test", "acme.example.test").await.1, after, "nobody is locked out");
    let metrics = scene.server.private_get("/metrics").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(text.contains("freehold_tls_certificate_expires_seconds{certificate=\"1\"}"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_listener_sends_everybody_to_https_and_does_nothing_else() {
    let scene = Scene::new().await;
    let plain = scene.server.redirect.unwrap();
    let mut conn = Conn::open(plain, "acme.example.test:8080").await;
    for (method, target) in
        [("GET", "/v1/me?a=b&c"), ("POST", "/v1/auth/login"), ("GET", "//evil.test/x"), ("PUT", "/")]
    {
        let answer = conn.call(method, target, None).await;
        let expected = format!("https://acme.example.test:8443{target}");
        assert_eq!(answer.is(308).header("location"), Some(expected.as_str()));
        assert!(answer.header("x-request-id").is_some() && answer.header("x-frame-options").is_some(), "{answer:?}");
        assert!(answer.header("set-cookie").is_none() && answer.body.is_empty(), "{answer:?}");
    }
    for method in ["TRACE", "BREW"] {
        let answer = conn.call(method, "/", None).await;
        answer.is_problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    Conn::open(plain, "evil.test").await.get("/", None).await.is_problem(404, "not-found");
}

/// Whoever only comes to be sent on is counted like everybody.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_sent_to_https_is_counted_by_address() {
    let scene = Scene::new().await;
    let server = scene.server.restarted_with("FREEHOLD_LIMITS_ADDRESS", "2/h");
    let mut conn = Conn::open(server.redirect.unwrap(), "acme.example.test").await;
    let mut sent_on = 0;
    for _ in 0..4 {
        let answer = conn.get("/", None).await;
        if answer.status == 308 {
            sent_on += 1;
        } else {
            answer.is_problem(429, "rate-limited");
            assert_eq!(answer.json()["tier"], "address");
        }
    }
    assert!((1..=2).contains(&sent_on), "{sent_on}");
}

/// A proxy that is trusted must say that its client came by HTTPS.
#[tokio::test(flavor = "multi_thread")]
async fn in_production_a_request_without_https_is_sent_there() {
    let options = Options::new(Engine::Sqlite)
        .env("FREEHOLD_PROFILE", "production")
        .env("FREEHOLD_PLATFORM_DOMAIN", "example.com")
        .env("FREEHOLD_PLATFORM_PUBLIC_URL", "https://example.com")
        .env("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1");
    let server = Server::start(options).await;
    server.tenant("acme");
    let mut conn = Conn::open(server.http, "acme.example.com").await;
    for said in [
        &[][..],
        &[("x-forwarded-proto", "http")],
        &[("x-forwarded-proto", "https, http")],
        &[("x-forwarded-proto", "?")],
    ] {
        let answer = conn.send(conn.request("GET", "/.well-known/jwks.json", said, b"")).await;
        assert_eq!(
            answer.is(308).header("location"),
            Some("https://acme.example.com/.well-known/jwks.json"),
            "{said:?}"
        );
        assert!(answer.header("strict-transport-security").is_none(), "not over HTTP (RFC 6797 §7.2)");
    }
    let https = [("x-forwarded-proto", "https"), ("x-forwarded-for", "192.0.2.1")];
    let answer = conn.send(conn.request("GET", "/.well-known/jwks.json", &https, b"")).await;
    let hsts = "max-age=63072000; includeSubDomains; preload";
    assert_eq!(answer.is(200).header("strict-transport-security"), Some(hsts));
    for path in ["/nothing", "/v1/me"] {
        let answer = conn.send(conn.request("GET", path, &https, b"")).await;
        assert_eq!(answer.header("strict-transport-security"), Some(hsts), "{path}: errors too");
    }
    conn.get("/readyz", None).await.is(200);
}

/// Whoever puts a proxy in front and does not name it is told once, and its headers are not read.
#[tokio::test(flavor = "multi_thread")]
async fn forwarding_headers_without_a_trusted_proxy_are_warned_of_once() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    for _ in 0..3 {
        let said = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https")];
        let answer = conn.send(conn.request("GET", "/", &said, b"")).await;
        assert!(answer.is(200).header("strict-transport-security").is_none(), "{answer:?}");
    }
    let (log, _) =
        until("it is said", async || Some(server.log()).filter(|log| log.contains("no proxy is trusted"))).await;
    assert_eq!(log.matches("no proxy is trusted").count(), 1);
}
