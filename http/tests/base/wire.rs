//! A server with a few routes, and a client that sends whatever bytes a test wants.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::IntoResponse;
use freehold_actors::ambient::Ambient;
use freehold_domain::time::UnixMs;
use freehold_http::access::{Public, Routes};
use freehold_http::body::{Valid, Validate};
use freehold_http::client_address::TrustedProxies;
use freehold_http::edge::{EdgeLayer, EdgeOptions};
use freehold_http::faces::Faces;
use freehold_http::faults::Faults;
use freehold_http::host::Platform;
use freehold_http::problem;
use freehold_http::query::{ListPart, Query};
use freehold_http::serve::{ServeOptions, Transport, serve};
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::Layer;

/// Nothing in these tests may take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hello {
    name: Option<String>,
}

impl Validate for Hello {
    type Checked = String;

    fn check(self, faults: &mut Faults) -> Option<String> {
        let name = faults.required("name", self.name)?;
        faults.one_line("name", name, 1..=20)
    }
}

async fn hello(Valid(name): Valid<Hello>) -> String {
    name
}

async fn list(Query(part): Query<ListPart>) -> String {
    part.limit.to_string()
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(300)).await;
    "slow"
}

#[expect(clippy::panic, reason = "what it is for")]
async fn boom() -> StatusCode {
    panic!("a canary that must stay in the log")
}

/// A body that never ends.
async fn endless() -> impl IntoResponse {
    Body::new(Endless)
}

struct Endless;

static CHUNK: [u8; 16_384] = [b'x'; 16_384];

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&CHUNK)))))
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) done: JoinHandle<usize>,
}

impl Server {
    pub(crate) async fn start(options: ServeOptions) -> Self {
        Self::start_with(options, Duration::from_millis(400), vec![]).await
    }

    pub(crate) async fn start_with(options: ServeOptions, body_read_max: Duration, proxies: Vec<ipnet::IpNet>) -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        let fill = |bytes: &mut [u8]| bytes.fill(COUNT.fetch_add(1, Ordering::Relaxed));
        let now = || UnixMs::new(1_700_000_000_000);
        let ambient = Ambient { now, wall: now, fill };
        let platform = Platform::new("localhost").expect("a domain");
        let edge = EdgeOptions { body_read_max, ..EdgeOptions::new(ambient, TrustedProxies::new(proxies), platform) };
        let routes = Routes::default()
            .post("/hello", Public, hello)
            .post("/v1/auth/hello", Public, hello)
            .get("/list", Public, list)
            .get("/slow", Public, slow)
            .get("/boom", Public, boom)
            .get("/endless", Public, endless)
            .get("/problems/{slug}", Public, problem::page);
        let service = EdgeLayer::new(edge).layer(Faces::default().tenant(routes));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let done = tokio::spawn(serve(listener, Transport::Plain, service, options, stop.clone()));
        Self { address, stop, done }
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire { socket: TcpStream::connect(self.address).await.expect("a connection"), unread: Vec::new() }
    }

    pub(crate) async fn http2(&self) -> Http2 {
        let socket = TcpStream::connect(self.address).await.expect("a connection");
        let opened = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await;
        let (sender, connection) = opened.expect("a handshake");
        tokio::spawn(connection);
        Http2(sender)
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Answer {
        let mut wire = self.connect().await;
        wire.send(request).await;
        wire.answer().await
    }
}

/// A client that keeps to HTTP/2.
pub(crate) struct Http2(http2::SendRequest<String>);

impl Http2 {
    pub(crate) async fn ask(&mut self, method: &str, target: &str, host: Option<&str>, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(target).header("content-type", "application/json");
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let request = request.body(body.to_owned()).expect("a request");
        let (parts, body) = self.0.send_request(request).await.expect("an answer").into_parts();
        let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let body = body.collect().await.expect("a body").to_bytes().to_vec();
        Answer { status: parts.status.as_u16(), headers, body }
    }
}

pub(crate) struct Wire {
    pub(crate) socket: TcpStream,
    pub(crate) unread: Vec<u8>,
}

impl Wire {
    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.socket.write_all(text.as_ref()).await.expect("sent");
    }

    /// The next answer: headers and as much body as `Content-Length` says.
    pub(crate) async fn answer(&mut self) -> Answer {
        tokio::time::timeout(PATIENCE, self.read_answer()).await.expect("an answer in time").expect("an answer")
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let head = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break self.unread.drain(..at + 4).collect::<Vec<_>>();
            }
            self.more().await?;
        };
        let mut answer = Answer::parse(&String::from_utf8(head).expect("text"));
        let length = answer.header("content-length").map_or(0, |text| text.parse().expect("a length"));
        while self.unread.len() < length {
            self.more().await?;
        }
        answer.body = self.unread.drain(..length).collect();
        Some(answer)
    }

    pub(crate) async fn more(&mut self) -> Option<()> {
        let mut chunk = [0; 4096];
        let count = self.socket.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        self.unread.extend_from_slice(chunk.get(..count)?);
        Some(())
    }

    /// Waits until the server closes; how long it took.
    pub(crate) async fn closed(&mut self) -> Duration {
        let start = Instant::now();
        let drained = async { while self.more().await.is_some() {} };
        tokio::time::timeout(PATIENCE, drained).await.expect("closed in time");
        start.elapsed()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(head: &str) -> Self {
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Self { status: status.parse().expect("a status"), headers, body: Vec::new() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(seen, _)| seen == name).map(|(_, value)| value.as_str())
    }

    /// A problem of this kind, with everything that every answer has.
    pub(crate) fn is(&self, status: u16, slug: &str) -> Value {
        self.has_the_headers();
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let body: Value = serde_json::from_slice(&self.body).expect("JSON");
        let wanted = serde_json::json!({"type": format!("/problems/{slug}"), "status": status, "request_id": self.header("x-request-id")});
        for (name, value) in wanted.as_object().expect("an object") {
            assert_eq!(body.get(name), Some(value), "{self:?}");
        }
        body
    }

    pub(crate) fn has_the_headers(&self) {
        for name in [
            "x-request-id",
            "content-security-policy",
            "x-content-type-options",
            "x-frame-options",
            "referrer-policy",
            "permissions-policy",
            "cross-origin-opener-policy",
            "cross-origin-resource-policy",
        ] {
            let times = self.headers.iter().filter(|(seen, _)| seen == name).count();
            assert_eq!(times, 1, "{name} in {self:?}");
        }
        assert_eq!(self.header("server"), None);
        assert_eq!(self.header("strict-transport-security"), None, "never on localhost");
    }
}

pub(crate) fn post_json(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: acme.localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
