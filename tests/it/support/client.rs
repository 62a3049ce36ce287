//! Clients: one connection that is open before it is used, and what is asked over it.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{Server, Tenant};

/// No answer may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open connection to a server, for requests to one host.
pub(crate) struct Conn {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    /// Whether a proxy says that it was asked by HTTPS.
    is_by_https: bool,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The last part of the problem's type, such as `not-found`.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json", "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16(), "{self:?}");
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"), "{self:?}");
        body["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned()
    }

    /// Asserts the status and the problem at once.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, slug: &str) {
        assert_eq!((self.status.as_u16(), self.problem().as_str()), (status, slug), "{self:?}");
    }

    /// Asserts the status.
    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A signed-in session, as the client keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) id: String,
}

impl Session {
    /// The session of a token pair.
    #[track_caller]
    pub(crate) fn of(answer: &Answer) -> Self {
        let body = answer.is(200).json();
        let text = |key: &str| body[key].as_str().unwrap_or_else(|| panic!("no {key}: {body}")).to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token"), id: text("session_id") }
    }
}

impl Conn {
    /// Opens a connection for requests to this host.
    pub(crate) async fn open(address: SocketAddr, host: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, host).await
    }

    /// Speaks HTTP/1.1 over this, for requests to this host.
    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, host: &str) -> Self {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, host: host.to_owned(), is_by_https: false }
    }

    /// The same, for a server that trusts us as a proxy and is told that we were asked by HTTPS.
    pub(crate) fn by_https(mut self) -> Self {
        self.is_by_https = true;
        self
    }

    /// Opens a connection to a tenant of a server.
    pub(crate) async fn to(server: &Server, tenant: &Tenant) -> Self {
        Self::open(server.http, &tenant.host()).await
    }

    /// Sends a request and reads its answer; `None` when the server hung up instead.
    pub(crate) async fn try_send(&mut self, request: Request<Full<Bytes>>) -> Option<Answer> {
        let exchange = async {
            self.sender.ready().await.ok()?;
            let (parts, body) = self.sender.send_request(request).await.ok()?.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            Some(Answer { status: parts.status, headers: parts.headers, body })
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    /// A request to this connection's host, with these headers.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if self.is_by_https {
            request = request.header("x-forwarded-proto", "https");
        }
        request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
    }

    pub(crate) async fn get(&mut self, path: &str, access: Option<&str>) -> Answer {
        self.call("GET", path, access).await
    }

    /// A request without a body.
    pub(crate) async fn call(&mut self, method: &str, path: &str, access: Option<&str>) -> Answer {
        let bearer = access.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|value| (AUTHORIZATION.as_str(), value.as_str())).collect();
        self.send(self.request(method, path, &headers, b"")).await
    }

    pub(crate) async fn patch(&mut self, path: &str, access: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {access}");
        let headers = [(AUTHORIZATION.as_str(), bearer.as_str()), (CONTENT_TYPE.as_str(), "application/json")];
        self.send(self.request("PATCH", path, &headers, body.to_string().as_bytes())).await
    }

    pub(crate) async fn post(&mut self, path: &str, access: Option<&str>, body: &Value) -> Answer {
        self.try_post(path, access, body).await.expect("an answer")
    }

    pub(crate) async fn try_post(&mut self, path: &str, access: Option<&str>, body: &Value) -> Option<Answer> {
        let bearer = access.map(|token| format!("Bearer {token}"));
        let mut headers = vec![(CONTENT_TYPE.as_str(), "application/json")];
        headers.extend(bearer.iter().map(|value| (AUTHORIZATION.as_str(), value.as_str())));
        self.try_send(self.request("POST", path, &headers, body.to_string().as_bytes())).await
    }

    /// A sign-in with this password.
    pub(crate) async fn login(&mut self, tenant: &Tenant, password: &str) -> Answer {
        self.post("/v1/auth/login", None, &json!({ "email": tenant.email, "password": password })).await
    }

    /// A sign-in that must succeed.
    pub(crate) async fn sign_in(&mut self, tenant: &Tenant) -> Session {
        Session::of(&self.login(tenant, &tenant.password).await)
    }

    pub(crate) async fn refresh(&mut self, token: &str) -> Answer {
        self.post("/v1/auth/refresh", None, &json!({ "refresh_token": token })).await
    }

    /// The status of `GET /v1/me` with this access token.
    pub(crate) async fn me(&mut self, access: &str) -> u16 {
        self.get("/v1/me", Some(access)).await.status.as_u16()
    }
}
