//! Clients that mean no good: refused before a tenant is asked, counted, and nobody else notices.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Answer, Conn, Engine, Options, Server};
use crate::watch::{metric, until};

/// A few of each kind; the rule has the whole list.
const PROBES: [&str; 8] = [
    "/.env",
    "/wp-login.php",
    "/v1/%2e%2e/%2e%2e/etc/passwd",
    "/v1/me%00",
    "/?q=%3Cscript%3E",
    "/v1/audit?actor=1'+or+'1'='1",
    "/cgi-bin/luci",
    "/.git/config",
];

/// Like a route that is not there, or for what its query says.
#[track_caller]
fn refused(answer: &Answer, probe: &str) {
    if probe.contains('?') {
        answer.is_problem(400, "validation");
        assert_eq!(answer.json()["errors"][0]["field"], "(query)", "{probe}");
    } else {
        answer.is_problem(404, "not-found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_scanners_ask_for_is_refused_and_counted_and_wakes_nobody() {
    let server = Server::start(Options::new(Engine::Sqlite).env("FREEHOLD_LIMITS_ADDRESS", "20/h")).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    for probe in PROBES {
        let answer = conn.get(probe, None).await;
        refused(&answer, probe);
        assert!(answer.header("x-ratelimit-tier").is_some(), "its address is counted: {answer:?}");
    }
    assert_eq!(metric(&server, "freehold_requests_filtered_total").await, 8);
    assert_eq!(metric(&server, "freehold_active_tenants").await, 0);
    for probe in PROBES.into_iter().chain(PROBES).take(12) {
        refused(&conn.get(probe, None).await, probe);
    }
    conn.get("/", None).await.is_problem(429, "rate-limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_served_at_an_address_that_is_denied() {
    let options = Options::new(Engine::Sqlite)
        .env("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1")
        .env("FREEHOLD_HTTP_DENIED_CIDRS", "192.0.2.0/24,2001:db8::/32");
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    for (address, status) in [
        ("192.0.2.1", 403),
        ("192.0.2.255", 403),
        ("::ffff:192.0.2.7", 403),
        ("2001:db8::1", 403),
        ("198.51.100.1, 192.0.2.1", 403),
        ("192.0.3.1", 200),
        ("2001:db9::1", 200),
        ("192.0.2.1, 198.51.100.1", 200),
    ] {
        let answer = conn.send(conn.request("GET", "/", &[("x-forwarded-for", address)], b"")).await;
        assert!(answer.is(status).headers.contains_key("x-request-id"), "{address}");
        if status == 403 {
            assert_eq!(answer.problem(), "forbidden", "{address}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_reserved_or_reads_like_one_is_nobodys() {
    let server = Server::start(Options::new(Engine::Sqlite).env("FREEHOLD_PLATFORM_RESERVED_SLUGS", "billing")).await;
    let create = |slug: &str| server.cli(&["tenant", "create", slug, "--admin-email", "a@example.com"], "");
    for slug in ["www", "adm1n", "rnail", "ad-min", "billing", "bi11ing", "xn--dmin-moa"] {
        let output = create(slug);
        assert_eq!(output.status.code(), Some(65), "{slug}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("is reserved"), "{slug}: {output:?}");
    }
    assert!(create("billings").status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_is_set_by_the_command_line_and_ends_when_it_is_told_to() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    for (verb, state, status, replaced) in [
        ("suspend", "suspended", 403, None),
        ("suspend", "suspended", 403, None),
        ("freeze", "read-only", 200, Some("suspended")),
        ("drain", "draining", 503, Some("read-only")),
        ("hold", "held", 503, Some("draining")),
    ] {
        let output = server.cli(&["tenant", verb, "acme", "--reason", "moving house"], "");
        let line: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!((&line["state"], line["replaced"].as_str()), (&state.into(), replaced), "{verb}");
        assert_eq!(conn.get("/v1/me", Some(&session.access)).await.status, status, "{verb}");
        let refresh = conn.refresh(&session.refresh).await;
        assert!(refresh.status.is_client_error() || refresh.status.is_server_error(), "{verb}: {refresh:?}");
    }
    for (until, status) in [("yesterday", 65), ("2020-01-01T00:00:00Z", 65)] {
        let output = server.cli(&["tenant", "hold", "acme", "--until", until], "");
        assert_eq!(output.status.code(), Some(status), "{output:?}");
    }
    let soon = time_in_s(2);
    assert!(server.cli(&["tenant", "hold", "acme", "--until", &soon], "").status.success());
    conn.get("/v1/me", Some(&session.access)).await.is_problem(503, "tenant-held");
    let conn = tokio::sync::Mutex::new(conn);
    until("it is served again", async || (conn.lock().await.me(&session.access).await == 200).then_some(())).await;
}

/// Slow clients of each kind, from an address a kind: more than a tenant may have requests in flight.
const SLOW: usize = 300;
/// How long the server may bear with them.
const CUT_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_cut_and_lock_nobody_else_out() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    let mut probe = Conn::to(&server, &acme).await;
    let access = probe.sign_in(&acme).await.access;
    assert_eq!(probe.me(&access).await, 200);
    let before = descriptors(&server);
    let head = "GET / HTTP/1.1\r\nhost: acme.localhost\r\nx-slow: ".to_owned();
    let body = "POST /v1/auth/login HTTP/1.1\r\nhost: acme.localhost\r\ncontent-type: application/json\r\n\
                content-length: 999\r\n\r\n{"
        .to_owned();
    // More than the kernel keeps for one who does not read.
    let asked = "GET /security HTTP/1.1\r\nhost: acme.localhost\r\n\r\n".repeat(100);
    // Larger than what is received before a place is taken, by somebody who may send it.
    let large = format!(
        "POST /v1/api-keys HTTP/1.1\r\nhost: acme.localhost\r\nauthorization: Bearer {access}\r\n\
         content-type: application/json\r\ncontent-length: 900000\r\n\r\n{{"
    );
    let since = Instant::now();
    let mut slow = tokio::task::JoinSet::new();
    for (host, sent) in [(2, head), (3, body), (4, asked), (5, large)] {
        for _ in 0..SLOW {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4 * 1024).unwrap();
            socket.bind(([127, 0, 0, host], 0).into()).unwrap();
            let mut stream = socket.connect(server.http).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            slow.spawn(trickle(stream));
        }
    }
    until("they are all connected", async || (descriptors(&server) >= before + 3 * SLOW).then_some(())).await;
    // Somebody from another address is served meanwhile, over a new connection too, and may send a body.
    let mut other = Conn::to(&server, &acme).await;
    assert_eq!((other.me(&access).await, probe.me(&access).await), (200, 200));
    other.sign_in(&acme).await;
    let unsigned = other.request("POST", "/webhooks/stripe", &[], &vec![b' '; 100_000]);
    assert_eq!(other.send(unsigned).await.status, 401, "a large body of somebody else's is read");
    drop(other);
    while descriptors(&server) > before {
        assert!(since.elapsed() < CUT_WITHIN, "{} are not cut", descriptors(&server) - before);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(probe.me(&access).await, 200);
}

/// Sends and takes a byte now and then, as long as it can.
async fn trickle(mut stream: tokio::net::TcpStream) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let sent = stream.try_write(b" ");
        let taken = tokio::time::timeout(Duration::from_millis(1), stream.read_u8()).await;
        if sent.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) || matches!(taken, Ok(Err(_))) {
            return;
        }
    }
}

/// How many files and sockets the server has open.
fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// The time so many seconds from now.
fn time_in_s(seconds: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let ms = i64::try_from(now.as_millis()).unwrap() + i64::try_from(seconds * 1_000).unwrap();
    freehold_domain::rfc3339::text(freehold_domain::time::UnixMs::new(ms))
}
