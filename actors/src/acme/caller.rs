//! The way to a certificate authority: each call on a connection of its own, over TLS alone, bounded in time and size,
//! behind a breaker. It follows no redirect and reads no proxy from the environment.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use freehold_domain::breaker::{BreakerRule, Tripped};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, RETRY_AFTER};
use hyper::http::response::Parts;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::RootCertStore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::ambient::Ambient;
use crate::breaker::{Breaker, NoResult};
use crate::outbound::{CallFailed, broken_off, connector, over_tls};

/// From the look-up of the name to the last byte.
const CALL_WITHIN: Duration = Duration::from_secs(20);
/// A chain of certificates has some ten thousand bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Consecutive failures of the authority itself after which it is left alone, and for how long.
const BREAKER: BreakerRule = BreakerRule { probe: Duration::from_secs(25), ..BreakerRule::USUAL };

/// The way to one authority.
#[derive(Clone)]
pub(super) struct Way {
    tls: TlsConnector,
    breaker: Arc<Breaker>,
}

/// The calls of one order.
pub(super) struct Caller {
    way: Way,
    heard: Arc<Heard>,
}

/// What the authority said last of when to come again.
#[derive(Default)]
pub(super) struct Heard(Mutex<Option<Duration>>);

/// A call that counts as a failure of the authority.
enum Failed {
    /// It brought no answer.
    Call(CallFailed),
    /// It brought one that says so.
    Answer(Box<Parts>, Bytes),
}

impl Way {
    /// The way to an authority for whose server one of these vouches.
    pub(super) fn new(roots: RootCertStore, ambient: Ambient) -> Result<Self, rustls::Error> {
        let breaker = Arc::new(Breaker::new("acme", BREAKER, ambient));
        Ok(Self { tls: connector(roots)?, breaker })
    }

    /// Calls for one order, and what is heard in them.
    pub(super) fn caller(&self) -> (Caller, Arc<Heard>) {
        let heard = Arc::default();
        (Caller { way: self.clone(), heard: Arc::clone(&heard) }, heard)
    }

    async fn call(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Result<(Parts, Bytes), Box<dyn StdError + Send + Sync>> {
        let called = async {
            let called = timeout(CALL_WITHIN, self.exchange(request)).await.unwrap_or(Err(CallFailed::Late));
            let (parts, body) = called.map_err(Failed::Call)?;
            let is_down = parts.status.is_server_error();
            if is_down { Err(Failed::Answer(Box::new(parts), body)) } else { Ok((parts, body)) }
        };
        match self.breaker.run(called).await {
            Ok(answer) => Ok(answer),
            Err(NoResult::Failed(Failed::Answer(parts, body))) => Ok((*parts, body)),
            Err(NoResult::Failed(Failed::Call(failed))) => Err(failed.into()),
            Err(NoResult::Tripped(tripped)) => Err(tripped.into()),
        }
    }

    async fn exchange(&self, request: Request<BodyWrapper<Bytes>>) -> Result<(Parts, Bytes), CallFailed> {
        let (mut head, body) = request.into_parts();
        let authority = head.uri.authority().filter(|_| head.uri.scheme_str() == Some("https"));
        let authority = authority.ok_or(CallFailed::Malformed)?.clone();
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let line = HeaderValue::try_from(authority.as_str()).map_err(|_| CallFailed::Malformed)?;
        head.headers.insert(HOST, line);
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        head.uri = target.parse::<Uri>().map_err(|_| CallFailed::Malformed)?;

        let stream = over_tls(&self.tls, &host, authority.port_u16().unwrap_or(443)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new(); // dropped, it closes the connection
        driver.spawn(connection);
        let response = sender.send_request(Request::from_parts(head, body)).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(broken_off)?;
        Ok((parts, body.to_bytes()))
    }
}

impl HttpClient for Caller {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (way, heard) = (self.way.clone(), Arc::clone(&self.heard));
        Box::pin(async move {
            let (parts, body) = way.call(request).await.map_err(Error::Other)?;
            heard.note(&parts);
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

impl Heard {
    /// How long the authority asked to be left alone, if it refused and said so.
    pub(super) fn wait(&self) -> Option<Duration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, answer: &Parts) {
        let refuses = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&answer.status);
        let said = answer.headers.get(RETRY_AFTER).filter(|_| refuses).and_then(|line| line.to_str().ok());
        let wait = said.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = wait;
    }
}

/// The refusal of the breaker, if that is what ended an order.
pub(super) fn tripped(error: &Error) -> Option<Tripped> {
    if let Error::Other(inner) = error { inner.downcast_ref::<Tripped>().copied() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(status: u16, retry_after: Option<&str>) -> Option<Duration> {
        let mut answer = hyper::Response::builder().status(status);
        if let Some(text) = retry_after {
            answer = answer.header(RETRY_AFTER, text);
        }
        let heard = Heard::default();
        heard.note(&answer.body(()).unwrap().into_parts().0);
        heard.wait()
    }

    #[test]
    fn only_a_refusal_says_when_to_come_again() {
        assert_eq!(heard(429, Some("3600")), Some(Duration::from_hours(1)));
        assert_eq!(heard(503, Some(" 7 ")), Some(Duration::from_secs(7)));
        for (status, said) in [(200, Some("5")), (429, None), (429, Some("-1")), (429, Some("soon")), (400, Some("5"))]
        {
            assert_eq!(heard(status, said), None, "{status} {said:?}");
        }
    }
}
