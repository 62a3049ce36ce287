//! One connection from its accept to its end.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{Response, Version};
use http_body_util::{BodyExt, Collected};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

use super::ServeOptions;
use super::crowd::Place;
use super::lively::{Busy, Life, Lively};
use super::tls::Transport;
use super::unreadable::{self, Candid, Refuse};
use crate::client_address::{Peer, Scheme};

/// How long an ended connection has to say goodbye (GOAWAY, TLS close).
const GOODBYE: Duration = Duration::from_secs(2);

/// What a connection holds besides its socket.
pub(super) struct Connection {
    pub(super) options: Arc<ServeOptions>,
    /// Finish what runs and end.
    pub(super) stop: CancellationToken,
    /// End now.
    pub(super) cut: CancellationToken,
    pub(super) permit: OwnedSemaphorePermit,
    pub(super) place: Place,
}

impl Connection {
    /// Serves the socket until it is over, under TLS once hands are shaken: in as much time as a request's head has. What
    /// comes one after the other is boxed: thousands of connections at once have room for one of them, not for the largest.
    pub(super) async fn begin<S>(
        self,
        transport: Transport,
        builder: Arc<Builder<TokioExecutor>>,
        socket: TcpStream,
        address: SocketAddr,
        service: S,
    ) where
        S: Service<Request, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let _open = Open::new();
        let _ = socket.set_nodelay(true); // fails only on a socket that is gone already
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let tls = match transport {
            Transport::Plain => {
                let peer = Peer { address, scheme: Scheme::Http };
                return Box::pin(self.run(builder, socket, peer, service)).await;
            }
            Transport::Tls(tls) => tls,
        };
        let handshake = tokio::time::timeout(self.options.header_read_max, Box::pin(tls.accept(socket)));
        let Some(shaken) = self.stop.run_until_cancelled(handshake).await else { return };
        let outcome = match &shaken {
            Ok(Ok(_)) => "done",
            Ok(Err(_)) => "refused",
            Err(_) => "late",
        };
        metrics::counter!("freehold_tls_handshakes_total", "outcome" => outcome).increment(1);
        if let Ok(Ok((stream, shown))) = shaken {
            let peer = Peer { address, scheme: Scheme::Https };
            let service = service.map_request(move |mut request: Request| {
                request.extensions_mut().insert(shown.clone());
                request
            });
            Box::pin(self.run(builder, stream, peer, service)).await;
        }
    }

    async fn run<S, T>(self, builder: Arc<Builder<TokioExecutor>>, socket: T, peer: Peer, service: S)
    where
        S: Service<Request, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let life = Life::new();
        let socket = Lively::new(socket, Arc::clone(&life), self.options.write_stall_max);
        let refuse = refuse(service.clone(), peer, Arc::clone(&life));
        let io = TokioIo::new(Candid::new(socket, Arc::clone(&life), refuse));
        let handler = service_fn({
            let life = Arc::clone(&life);
            move |request: Request<Incoming>| {
                let (service, busy, life) = (service.clone(), life.request(), Arc::clone(&life));
                async move {
                    if request.version() < Version::HTTP_2 {
                        life.wait_taken().await;
                    }
                    answer(service, request.map(Body::new), peer, busy).await
                }
            }
        });
        // The type has no name: the watch sees it through the trait.
        let mut http = Box::pin(builder.serve_connection(io, handler).into_owned());
        let watch = Watch { life, options: Arc::clone(&self.options), alarm: None };
        let outcome = self.cut.run_until_cancelled(watch.over(&mut http, &self.stop)).await;
        if let Some(Err(error)) = outcome {
            tracing::debug!(error = &*error, "connection ended");
        }
        drop((self.permit, self.place));
    }
}

type Fault = Box<dyn StdError + Send + Sync>;

/// What the watch does with a connection: drive it, and ask it to end.
trait Drive {
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>>;
    fn wind_up(&mut self);
}

impl<I, S, B> Drive for Pin<Box<hyper_util::server::conn::auto::Connection<'static, I, S, TokioExecutor>>>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>> + 'static,
    S::Error: Into<Fault>,
    S::Future: Send + 'static,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<Fault>,
{
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.as_mut().poll(cx)
    }

    fn wind_up(&mut self) {
        self.as_mut().graceful_shutdown();
    }
}

/// Ends a connection that has done nothing for too long.
struct Watch {
    life: Arc<Life>,
    options: Arc<ServeOptions>,
    /// Set to the earliest moment that may matter, and looked at again then: a busy connection resets it about once
    /// in `header_read_max` and not for every request.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    /// Drives the connection to its end: its own, the stop's, or its time limits'.
    async fn over(mut self, http: &mut impl Drive, stop: &CancellationToken) -> Result<(), Fault> {
        let (mut stopping, mut winding_up) = (pin!(stop.cancelled()), false);
        let end = poll_fn(|cx| {
            loop {
                if let Poll::Ready(outcome) = http.drive(cx) {
                    return Poll::Ready(Some(outcome));
                }
                if winding_up || stopping.as_mut().poll(cx).is_pending() {
                    return self.poll_expired(cx).map(|()| None);
                }
                http.wind_up();
                winding_up = true;
            }
        });
        if let Some(outcome) = end.await {
            return outcome;
        }
        if winding_up || !self.life.is_idle() {
            return Ok(()); // half a head: there is nobody to say goodbye to
        }
        http.wind_up();
        tokio::time::timeout(GOODBYE, poll_fn(|cx| http.drive(cx))).await.unwrap_or(Ok(()))
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let over_at = self.life.over_at(&self.options);
            // While requests run there is nothing to wait for but their end.
            let look_at = over_at.unwrap_or_else(|| Instant::now() + self.options.header_read_max);
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(look_at)));
            if look_at < alarm.deadline() || (alarm.is_elapsed() && over_at.is_none_or(|at| at > Instant::now())) {
                alarm.as_mut().reset(look_at);
            }
            match (alarm.as_mut().poll(cx), over_at) {
                (Poll::Pending, _) => return Poll::Pending,
                (Poll::Ready(()), Some(at)) if at <= Instant::now() => return Poll::Ready(()),
                (Poll::Ready(()), _) => {} // set for an earlier state: look again
            }
        }
    }
}

/// How this connection refuses what hyper could not read.
fn refuse<S>(service: S, peer: Peer, life: Arc<Life>) -> Refuse
where
    S: Service<Request, Response = Response<Body>, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    Box::new(move |verdict| {
        Box::pin(async move {
            let Ok(response) = answer(service, unreadable::request(verdict), peer, life.request()).await;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default(); // whole already: cannot fail
            Response::from_parts(head, body)
        })
    })
}

async fn answer<S>(service: S, mut request: Request, peer: Peer, busy: Busy) -> Result<Response<Answer>, Infallible>
where
    S: Service<Request, Response = Response<Body>, Error = Infallible>,
{
    request.extensions_mut().insert(peer);
    let response = service.oneshot(request).await?;
    Ok(response.map(|body| Answer { body, _busy: busy }))
}

/// The body of an answer: until it is sent its request is running.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Counts the connection while it lives.
struct Open;

impl Open {
    fn new() -> Self {
        metrics::gauge!("freehold_http_connections").increment(1.0);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("freehold_http_connections").decrement(1.0);
    }
}
