//! Calls to services outside: one GET, or one form that is posted, bounded in time and size, on a connection of its own.
//!
//! hyper's client over rustls, and nothing around them: there is nothing that follows a redirect, keeps a cookie, or reads
//! a proxy from the environment. The roots are Mozilla's, compiled in.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use freehold_domain::secret::Secret;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::http::response::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The address of a service: `https`, or `http` on this machine alone, and perhaps a path; no user, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl {
    is_https: bool,
    /// Host and port, as the `Host` header has them.
    authority: String,
    /// The host without brackets.
    host: String,
    port: u16,
    /// Without a slash at its end.
    path: String,
}

impl ServiceUrl {
    /// The address `text` is; `None` if it is none that may be called.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(['@', '?', '#']) {
            return None;
        }
        let uri: Uri = text.parse().ok()?;
        let authority = uri.authority()?;
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.as_str().strip_prefix(authority.host())? {
            "" => {
                if is_https {
                    443
                } else {
                    80
                }
            }
            port => port.strip_prefix(':')?.parse().ok().filter(|port| *port > 0)?,
        };
        let path = uri.path().trim_end_matches('/').to_owned();
        let url = Self { is_https, authority: authority.to_string(), host, port, path };
        (!url.host.is_empty() && (is_https || url.is_loopback())).then_some(url)
    }

    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// A call that brought no answer to rely on.
#[derive(Debug, thiserror::Error)]
pub enum CallFailed {
    /// Not the whole answer in time.
    #[error("the answer did not come in time")]
    Late,
    /// No connection, or no TLS over it.
    #[error("no connection")]
    Connection(#[from] io::Error),
    /// No answer that is HTTP.
    #[error("the exchange broke off")]
    Exchange(#[from] hyper::Error),
    /// Another status than 200: a redirect too.
    #[error("the status is {0}")]
    Status(StatusCode),
    /// More than the caller takes.
    #[error("the answer is too long")]
    TooLong,
    /// The request or the answer is not what it must be.
    #[error("not a text")]
    Malformed,
}

/// How far a call goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// From the look-up of the name to the last byte.
    pub(crate) within: Duration,
    /// Bytes of the answer's body.
    pub(crate) bytes_max: usize,
}

/// A type of content, and a text of it.
pub(crate) type Content<'a> = (&'static str, &'a str);

const FORM: &str = "application/x-www-form-urlencoded";

/// What is asked.
struct Ask<'a> {
    /// Host and port, as the `Host` header has them.
    authority: &'a str,
    /// Path and query.
    target: &'a str,
    headers: &'a [(&'static str, &'a str)],
    method: Method,
    /// What is posted.
    content: Option<Content<'a>>,
}

/// How a call is made with this content, or without one.
const fn method_of(content: Option<Content<'_>>) -> Method {
    if content.is_some() { Method::POST } else { Method::GET }
}

/// What was answered, whatever the status.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    /// How long the other side asks to be left alone, if it does so in seconds.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) text: Secret<String>,
}

impl From<(Parts, String)> for Answered {
    fn from((head, text): (Parts, String)) -> Self {
        Self { status: head.status, retry_after: retry_after(&head.headers), text: Secret::new(text) }
    }
}

/// One service.
pub(crate) struct Outbound {
    url: ServiceUrl,
    tls: TlsConnector,
}

impl Outbound {
    /// The service at `url`.
    ///
    /// # Errors
    /// When the provider does not know the protocol versions of rustls.
    pub(crate) fn to(url: ServiceUrl) -> Result<Self, rustls::Error> {
        Ok(Self { url, tls: connector(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })? })
    }

    /// Another service, over the same TLS.
    pub(crate) fn and_to(&self, url: ServiceUrl) -> Self {
        Self { url, tls: self.tls.clone() }
    }

    /// The text at `path` below the service's address. A call that is late ends with its connection.
    ///
    /// # Errors
    /// [`CallFailed`].
    pub(crate) async fn get(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        bounds: Bounds,
    ) -> Result<String, CallFailed> {
        self.call(path, headers, None, bounds).await
    }

    /// The text that the service answers at its own address when this form is posted to it.
    ///
    /// # Errors
    /// [`CallFailed`].
    pub(crate) async fn post_form(
        &self,
        form: &Secret<String>,
        headers: &[(&'static str, &str)],
        bounds: Bounds,
    ) -> Result<String, CallFailed> {
        self.call("", headers, Some((FORM, form.expose())), bounds).await
    }

    async fn call(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        content: Option<Content<'_>>,
        bounds: Bounds,
    ) -> Result<String, CallFailed> {
        let method = method_of(content);
        self.ask_for((method, path), headers, content, (bounds, Wanted::Success)).await.map(|(_, text)| text)
    }

    /// What the service answers at `path` below its address to a GET, or to this content when it is posted, whatever the status.
    ///
    /// # Errors
    /// [`CallFailed`], but no status.
    pub(crate) async fn ask(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        content: Option<Content<'_>>,
        bounds: Bounds,
    ) -> Result<Answered, CallFailed> {
        let asked = self.ask_for((method_of(content), path), headers, content, (bounds, Wanted::Anything));
        asked.await.map(Answered::from)
    }

    /// What the service answers at `path` below its address when what is there is to be taken away, whatever the status.
    ///
    /// # Errors
    /// [`CallFailed`], but no status.
    pub(crate) async fn delete(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        bounds: Bounds,
    ) -> Result<Answered, CallFailed> {
        let asked = self.ask_for((Method::DELETE, path), headers, None, (bounds, Wanted::Anything));
        asked.await.map(Answered::from)
    }

    async fn ask_for(
        &self,
        (method, path): (Method, &str),
        headers: &[(&'static str, &str)],
        content: Option<Content<'_>>,
        (bounds, wanted): (Bounds, Wanted),
    ) -> Result<(Parts, String), CallFailed> {
        let target = format!("{}{path}", self.url.path);
        let target = if target.is_empty() { "/" } else { &target };
        let ask = Ask { authority: &self.url.authority, target, headers, method, content };
        let call = async {
            let (host, port) = (self.url.host.as_str(), self.url.port);
            if self.url.is_https {
                exchange(over_tls(&self.tls, host, port).await?, ask, (bounds, wanted)).await
            } else {
                exchange(over_tcp(host, port).await?, ask, (bounds, wanted)).await
            }
        };
        timeout(bounds.within, Box::pin(call)).await.unwrap_or(Err(CallFailed::Late))
    }
}

/// TLS to servers for whom one of these vouches.
///
/// # Errors
/// When the provider does not know the protocol versions of rustls.
pub(crate) fn connector(roots: RootCertStore) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
}

/// A connection over TLS to whoever proves to be `host`, a name or an address without brackets.
pub(crate) async fn over_tls(tls: &TlsConnector, host: &str, port: u16) -> Result<TlsStream<TcpStream>, CallFailed> {
    let stream = over_tcp(host, port).await?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| CallFailed::Malformed)?;
    Ok(tls.connect(name, stream).await?)
}

async fn over_tcp(host: &str, port: u16) -> Result<TcpStream, CallFailed> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The text of a page of `host` at this address and no other, over plain HTTP.
///
/// # Errors
/// [`CallFailed`].
pub(crate) async fn get_plain(
    address: SocketAddr,
    host: &str,
    target: &str,
    bounds: Bounds,
) -> Result<String, CallFailed> {
    let ask = Ask { authority: host, target, headers: &[], method: Method::GET, content: None };
    let call = async { exchange(TcpStream::connect(address).await?, ask, (bounds, Wanted::Success)).await };
    let answered = timeout(bounds.within, Box::pin(call)).await.unwrap_or(Err(CallFailed::Late));
    answered.map(|(_, text)| text)
}

/// Which answers are one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// With 200.
    Success,
    /// With whatever status.
    Anything,
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    Ask { authority, target, headers, method, content }: Ask<'_>,
    (bounds, wanted): (Bounds, Wanted),
) -> Result<(Parts, String), CallFailed> {
    let mut request = Request::builder().method(method).uri(target);
    let own = [(HOST.as_str(), authority), (USER_AGENT.as_str(), "freehold")];
    for (name, value) in own.into_iter().chain(headers.iter().copied()) {
        request = request.header(name, value);
    }
    if let Some((of, _)) = content {
        request = request.header(CONTENT_TYPE, of);
    }
    let body = Full::new(content.map_or_else(Bytes::new, |(_, text)| Bytes::copy_from_slice(text.as_bytes())));
    let request = request.body(body).map_err(|_| CallFailed::Malformed)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new(); // dropped, it closes the connection
    driver.spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    if wanted == Wanted::Success && head.status != StatusCode::OK {
        return Err(CallFailed::Status(head.status));
    }
    let body = Limited::new(body, bounds.bytes_max).collect().await.map_err(broken_off)?;
    let text = String::from_utf8(body.to_bytes().into()).map_err(|_| CallFailed::Malformed)?;
    Ok((head, text))
}

/// How long an answer asks to leave its sender alone, if it does so in seconds (RFC 9110 §10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What a body that did not come whole is.
pub(crate) fn broken_off(error: Box<dyn std::error::Error + Send + Sync>) -> CallFailed {
    if error.is::<LengthLimitError>() {
        return CallFailed::TooLong;
    }
    error.downcast::<hyper::Error>().map_or(CallFailed::Malformed, |error| CallFailed::Exchange(*error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_leaves_the_machine() {
        for (text, shown) in [
            ("https://api.example.com", "https://api.example.com"),
            ("https://api.example.com/", "https://api.example.com"),
            ("https://api.example.com:8443/v2/", "https://api.example.com:8443/v2"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/a", "http://[::1]:8080/a"),
            ("http://localhost", "http://localhost"),
        ] {
            assert_eq!(ServiceUrl::parse(text).expect(text).to_string(), shown);
        }
        for text in [
            "",
            "api.example.com",
            "http://api.example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "ftp://127.0.0.1",
            "https://",
            "https:///range",
            "https://user@example.com",
            "https://u:p@example.com",
            "https://example.com/?q",
            "https://example.com/#f",
            "https://example.com:0",
            "https://example.com:99999",
            "https://example.com:",
            "https://exa mple.com",
            "http://127.0.0.1@example.com",
            "/range",
            "http://[::2]",
        ] {
            assert_eq!(ServiceUrl::parse(text), None, "{text}");
        }
    }
}
