//! Calls to URLs that tenants named: the only way to them.
//!
//! HTTPS with Mozilla's roots and those of the operator. The name is looked up here, every address of it must be one that may
//! be called, and the address that was checked is the one that is connected to: no name can lead elsewhere in between (OWASP,
//! Server-Side Request Forgery Prevention). Nothing follows a redirect, reads a proxy from the environment or keeps a cookie.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use freehold_domain::public_url::{Place, PublicUrl, Reach, UrlRefused};
use freehold_domain::secret::Secret;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::names::{Names, NoRecords};
use crate::outbound::{Answered, Bounds, Content, connector, retry_after};

/// Most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 3;
const CONNECTED_WITHIN: Duration = Duration::from_secs(4);
/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 * 1_024;
/// Bytes of an answer that are read of which the status counts.
const ANSWER_BYTES_MAX: usize = 4 * 1_024;
/// How long the rest of an answer is waited for whose status is known.
const BODY_WITHIN: Duration = Duration::from_secs(2);

/// What the operator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundRule {
    /// Who is asked for names; whoever the system asks, if nobody is named.
    pub resolver: Option<SocketAddr>,
    /// What may be called.
    pub reach: Reach,
    /// Who vouches for hosts besides Mozilla's authorities.
    pub roots: Vec<CertificateDer<'static>>,
}

/// The way out.
pub struct PublicClient {
    reach: Reach,
    names: Names,
    tls: TlsConnector,
}

/// What is posted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Post<'a> {
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) body: &'a [u8],
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// How long the other side asks to be left alone, if it does so in seconds.
    pub(crate) retry_after: Option<Duration>,
    /// Its first 4 KiB, as far as they came.
    pub(crate) body: Vec<u8>,
}

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The name leads to an address that must not be called.
    #[error("the name leads to an address that is not public")]
    PrivateAddress,
    /// The name leads nowhere.
    #[error("the name has no address")]
    NoAddress,
    /// Nobody says where the name leads.
    #[error("the name could not be looked up")]
    NameServer,
    /// No connection.
    #[error("no connection")]
    Connection,
    /// No TLS: another certificate than that of the host, or none that anybody vouches for.
    #[error("no TLS")]
    Tls(#[source] io::Error),
    /// No answer that is HTTP.
    #[error("the exchange broke off")]
    Exchange(#[from] hyper::Error),
    /// Not in time.
    #[error("the answer did not come in time")]
    Late,
    /// More than is taken.
    #[error("the answer is too long")]
    TooLong,
    /// The request cannot be written, or the answer is no text.
    #[error("not what it must be")]
    Malformed,
}

impl NoAnswer {
    /// In a word.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::PrivateAddress => "private-address",
            Self::NoAddress => "no-address",
            Self::NameServer => "name-server",
            Self::Connection => "connection",
            Self::Tls(_) => "tls",
            Self::Exchange(_) | Self::TooLong => "exchange",
            Self::Late => "late",
            Self::Malformed => "malformed",
        }
    }
}

impl PublicClient {
    /// A client by this rule.
    ///
    /// # Errors
    /// When the provider does not know the protocol versions of rustls, or a root is no certificate.
    pub fn new(rule: OutboundRule) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for root in rule.roots {
            roots.add(root)?;
        }
        Ok(Self { reach: rule.reach, names: Names::of(rule.resolver), tls: connector(roots)? })
    }

    /// What may be called.
    pub(crate) const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Posts to a URL; what is late ends with its connection.
    ///
    /// # Errors
    /// [`NoAnswer`]; when it came too late the other side may have taken it all the same.
    pub(crate) async fn post(&self, url: &PublicUrl, post: Post<'_>, within: Duration) -> Result<Answer, NoAnswer> {
        let body = Full::new(Bytes::copy_from_slice(post.body));
        let json = Request::post(url.target()).header(CONTENT_TYPE, "application/json");
        self.call(url, request(url, json, (post.headers, body))?, within).await
    }

    /// What a URL answers to a GET.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub(crate) async fn get(
        &self,
        url: &PublicUrl,
        headers: &[(&'static str, String)],
        within: Duration,
    ) -> Result<Answer, NoAnswer> {
        self.call(url, request(url, Request::get(url.target()), (headers, Full::default()))?, within).await
    }

    /// What a URL answers to a DELETE.
    ///
    /// # Errors
    /// [`NoAnswer`]; when it came too late the other side may have done it all the same.
    pub(crate) async fn delete(
        &self,
        url: &PublicUrl,
        headers: &[(&'static str, String)],
        within: Duration,
    ) -> Result<Answer, NoAnswer> {
        self.call(url, request(url, Request::delete(url.target()), (headers, Full::default()))?, within).await
    }

    /// What a URL answers when this content is posted to it, the whole of it, whatever the status: as `Outbound::ask` does for
    /// services that the operator named.
    ///
    /// # Errors
    /// [`NoAnswer`]; when it came too late the other side may have taken it all the same.
    pub(crate) async fn ask(
        &self,
        url: &PublicUrl,
        headers: &[(&'static str, String)],
        (of, content): Content<'_>,
        bounds: Bounds,
    ) -> Result<Answered, NoAnswer> {
        let deadline = Instant::now() + bounds.within;
        let body = Full::new(Bytes::copy_from_slice(content.as_bytes()));
        let post = Request::post(url.target()).header(CONTENT_TYPE, of);
        let (_driver, response) = self.begin(url, request(url, post, (headers, body))?, deadline).await?;
        let (head, body) = response.into_parts();
        let body = timeout_at(deadline, Limited::new(body, bounds.bytes_max).collect()).await;
        let body = body.map_err(|_| NoAnswer::Late)?.map_err(broken_off)?;
        let text = String::from_utf8(body.to_bytes().into()).map_err(|_| NoAnswer::Malformed)?;
        Ok(Answered { status: head.status, retry_after: retry_after(&head.headers), text: Secret::new(text) })
    }

    async fn call(&self, url: &PublicUrl, request: Request<Full<Bytes>>, within: Duration) -> Result<Answer, NoAnswer> {
        let deadline = Instant::now() + within;
        let (_driver, response) = self.begin(url, request, deadline).await?;
        Ok(read(response, deadline.min(Instant::now() + BODY_WITHIN)).await)
    }

    /// The head of an answer. Who drops the first of both closes the connection.
    async fn begin(
        &self,
        url: &PublicUrl,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<(JoinSet<hyper::Result<()>>, Response<Incoming>), NoAnswer> {
        let call = Box::pin(async {
            let stream = self.connect(url).await?;
            let mut http = http1::Builder::new();
            let (mut sender, connection) = http.max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
            let mut driver = JoinSet::new();
            driver.spawn(connection);
            let response = sender.send_request(request).await?;
            Ok((driver, response))
        });
        timeout_at(deadline, call).await.unwrap_or(Err(NoAnswer::Late))
    }

    /// The URL that a tenant names, if it may be called and leads, now, to where calls may go. Where nobody says whither, it is
    /// taken: it is looked at again with every call.
    ///
    /// # Errors
    /// [`UrlRefused`]: the first rule that it breaks.
    pub(crate) async fn admit(&self, text: &str) -> Result<PublicUrl, UrlRefused> {
        let url = PublicUrl::parse(text, &self.reach)?;
        match self.addresses(&url).await {
            Err(NoAnswer::PrivateAddress) => Err(UrlRefused::PrivateAddress),
            Err(NoAnswer::NoAddress) => Err(UrlRefused::NoAddress),
            Ok(_) | Err(_) => Ok(url),
        }
    }

    async fn connect(&self, url: &PublicUrl) -> Result<TlsStream<TcpStream>, NoAnswer> {
        let name = match url.place() {
            Place::Address(address) => ServerName::from(*address),
            Place::Name(name) => ServerName::try_from(name.clone()).map_err(|_| NoAnswer::Malformed)?,
        };
        for address in self.addresses(url).await?.into_iter().take(ADDRESSES_MAX) {
            let to = SocketAddr::new(address, url.port());
            if let Ok(Ok(stream)) = timeout(CONNECTED_WITHIN, TcpStream::connect(to)).await {
                drop(stream.set_nodelay(true));
                return self.tls.connect(name, stream).await.map_err(NoAnswer::Tls);
            }
        }
        Err(NoAnswer::Connection)
    }

    /// Where a URL leads. One address that may not be called speaks for the whole name: nobody has such a one by chance.
    async fn addresses(&self, url: &PublicUrl) -> Result<Vec<IpAddr>, NoAnswer> {
        let addresses = match url.place() {
            Place::Address(address) => vec![*address],
            Place::Name(name) => self.names.addresses(name).await.map_err(|none| match none {
                NoRecords::None => NoAnswer::NoAddress,
                NoRecords::NoAnswer => NoAnswer::NameServer,
            })?,
        };
        if addresses.is_empty() {
            return Err(NoAnswer::NoAddress);
        }
        if addresses.iter().all(|address| self.reach.may_call(*address)) {
            Ok(addresses)
        } else {
            Err(NoAnswer::PrivateAddress)
        }
    }
}

fn request(
    url: &PublicUrl,
    request: Builder,
    (headers, body): (&[(&'static str, String)], Full<Bytes>),
) -> Result<Request<Full<Bytes>>, NoAnswer> {
    let own = request.header(HOST, url.authority());
    let own = own.header(USER_AGENT, concat!("freehold/", env!("CARGO_PKG_VERSION")));
    let request = headers.iter().fold(own, |request, (name, value)| request.header(*name, value));
    request.body(body).map_err(|_| NoAnswer::Malformed)
}

fn broken_off(error: Box<dyn std::error::Error + Send + Sync>) -> NoAnswer {
    if error.is::<LengthLimitError>() {
        return NoAnswer::TooLong;
    }
    error.downcast::<hyper::Error>().map_or(NoAnswer::Malformed, |error| NoAnswer::Exchange(*error))
}

async fn read(response: Response<Incoming>, deadline: Instant) -> Answer {
    let (head, mut incoming) = response.into_parts();
    let mut body = vec![];
    while body.len() < ANSWER_BYTES_MAX {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, incoming.frame()).await else { break };
        if let Some(bytes) = frame.data_ref() {
            body.extend_from_slice(bytes.get(..bytes.len().min(ANSWER_BYTES_MAX - body.len())).unwrap_or_default());
        }
    }
    Answer { status: head.status, retry_after: retry_after(&head.headers), body }
}
