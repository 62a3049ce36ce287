//! The accept loop: bounded connections, each with its own time limits, and a drain that lets requests finish.
//!
//! Accepting --connection--> Accepting       (at the cap the kernel's backlog waits)
//! Accepting --no descriptors left--> pause 50 ms, doubling to 1 s
//! Accepting --stop--> Draining --all done, or `drain_max`--> end
//!
//! `axum::serve` has neither a header time-out nor a cap, hence our own (RFC 9112 §9.5, RFC 9113 §5.1.2 and §10.5).

mod accept;
mod connection;
mod crowd;
mod lively;
mod tls;
mod unreadable;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use self::connection::Connection;
use self::crowd::Crowd;
pub use self::tls::{Tls, Transport};
use crate::client_address::TrustedProxies;

const HTTP1_HEADERS_MAX: usize = 100;
const HTTP1_BUFFER_BYTES_MAX: usize = 64 * 1024;
const HTTP2_STREAMS_MAX: u32 = 128;
const HTTP2_HEADER_BYTES_MAX: u32 = 64 * 1024;
/// What a peer may send of bodies before somebody reads them: of one stream, and of all of a connection.
const HTTP2_STREAM_WINDOW: u32 = 64 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 256 * 1024;
const HTTP2_SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Rapid reset (CVE-2023-44487): streams that the peer reset and that still have work pending.
const HTTP2_PENDING_RESETS_MAX: usize = 20;
/// Streams that we reset because of the peer's faults, before the connection ends.
const HTTP2_LOCAL_RESETS_MAX: usize = 256;
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The bounds of one listener.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Connections at once; more wait in the kernel's backlog. Default 16,384.
    pub connections_max: usize,
    /// Connections at once of one address (IPv6: /64); more are closed. Default 1,024.
    pub per_address_max: usize,
    /// From the first byte of a request's headers, and from accepting a connection, to the last. Default 10 s.
    pub header_read_max: Duration,
    /// How long a connection may stay without a request. Default 60 s.
    pub idle_max: Duration,
    /// In how long a peer that keeps us waiting takes [`lively::TAKEN_BYTES_MIN`] of what it asked for. Default 15 s.
    pub write_stall_max: Duration,
    /// How long requests may go on after the stop. Default 10 s.
    pub drain_max: Duration,
    /// Those for whom there is no such bound, because many clients come by them.
    pub proxies: TrustedProxies,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            per_address_max: 1_024,
            header_read_max: Duration::from_secs(10),
            idle_max: Duration::from_mins(1),
            write_stall_max: Duration::from_secs(15),
            drain_max: Duration::from_secs(10),
            proxies: TrustedProxies::default(),
        }
    }
}

/// Serves HTTP/1.1 and HTTP/2 over this transport until `stop`, then drains.
///
/// Every request has the extension [`crate::client_address::Peer`]. On `stop` the listener closes, idle connections
/// end, busy ones finish what they have (`Connection: close`, GOAWAY); after `drain_max` the rest is cut off.
/// Returns how many connections were.
pub async fn serve<S>(
    listener: TcpListener,
    transport: Transport,
    service: S,
    options: ServeOptions,
    stop: CancellationToken,
) -> usize
where
    S: Service<Request, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let permits = Arc::new(Semaphore::new(options.connections_max));
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    let builder = Arc::new(builder());
    let (options, crowd) = (Arc::new(options), Crowd::default());
    let mut pause = accept::Pause::default();
    while let Some(Ok(permit)) = stop.run_until_cancelled(Arc::clone(&permits).acquire_owned()).await {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
        match accepted {
            Ok((socket, address)) => {
                pause.reset();
                let bound = if options.proxies.trusts(address.ip()) { usize::MAX } else { options.per_address_max };
                let Some(place) = crowd.enter(address.ip(), bound) else {
                    metrics::counter!("freehold_http_crowded_total").increment(1);
                    continue;
                };
                let (options, stop, cut) = (Arc::clone(&options), stop.clone(), cut.clone());
                let connection = Connection { options, stop, cut, permit, place };
                let begun = connection.begin(transport.clone(), Arc::clone(&builder), socket, address, service.clone());
                tasks.spawn(begun);
            }
            Err(error) => {
                metrics::counter!("freehold_http_accept_errors_total").increment(1);
                if let Some(wait) = pause.after(&error) {
                    tracing::error!(error = %error, pause_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), "accepting failed");
                    let _ = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
                }
            }
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(options.drain_max, tasks.wait()).await.is_ok() {
        return 0;
    }
    let left = tasks.len();
    tracing::warn!(connections = left, "cut off at the end of the drain");
    cut.cancel();
    tasks.wait().await;
    left
}

/// Time limits are not hyper's but [`lively`]'s: hyper's header timer also runs while a connection idles, and the
/// guess between HTTP/1 and HTTP/2 has none at all.
fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(HTTP1_HEADERS_MAX)
        .max_buf_size(HTTP1_BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_header_list_size(HTTP2_HEADER_BYTES_MAX)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES_MAX)
        .max_pending_accept_reset_streams(HTTP2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(HTTP2_LOCAL_RESETS_MAX)
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT);
    builder
}
