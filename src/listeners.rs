//! The sockets of a server, open before anything answers on them.

use std::io;
use std::net::SocketAddr;

use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpSocket};

use crate::cli::Exit;
use crate::config::Config;
use crate::failure::Failure;

/// What the kernel keeps of an answer that its client does not take; it doubles this. By itself it would keep megabytes of
/// each connection.
const SEND_BUFFER_BYTES: u32 = 128 * 1024;
/// Connections that wait to be accepted; the kernel may know a lower bound (`somaxconn`). Past it clients try again in a
/// second.
const BACKLOG: u32 = 4_096;

/// A socket, and where it listens: the port that the system chose, where 0 was asked for.
pub(crate) struct Bound {
    pub(crate) socket: TcpListener,
    pub(crate) address: SocketAddr,
}

/// Every socket.
pub(crate) struct Listeners {
    /// For everybody.
    pub(crate) http: Bound,
    /// For probes and operators.
    pub(crate) private: Bound,
    /// For whoever comes without TLS.
    pub(crate) redirect: Option<Bound>,
}

impl Listeners {
    /// Opens them.
    ///
    /// # Errors
    /// Exit 69 for an address that is taken.
    pub(crate) fn open(config: &Config) -> Result<Self, Failure> {
        let http = bind("FREEHOLD_HTTP_LISTEN", config.http.listen)?;
        let private = bind("FREEHOLD_PRIVATE_LISTEN", config.private.listen)?;
        let redirect = match config.http.redirect {
            Some(address) => Some(bind("FREEHOLD_HTTP_REDIRECT_LISTEN", address)?),
            None => None,
        };
        Ok(Self { http, private, redirect })
    }

    /// What a server says of them when it takes requests.
    pub(crate) fn told(&self) -> Value {
        let all = [("http", Some(&self.http)), ("private", Some(&self.private)), ("redirect", self.redirect.as_ref())];
        let addresses = all.into_iter().filter_map(|(name, bound)| Some((name, bound?.address.to_string())));
        let fields = [("event", "listening".to_owned())].into_iter().chain(addresses);
        Value::Object(fields.map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>())
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?; // a server that is started again need not wait for old connections to be forgotten
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind(name: &str, address: SocketAddr) -> Result<Bound, Failure> {
    let taken = |error: io::Error| {
        Failure::new(Exit::Unavailable, format!("{name}: cannot listen on {address}: {error}; choose a free address"))
    };
    let socket = listen(address).map_err(taken)?;
    let address = socket.local_addr().map_err(taken)?;
    Ok(Bound { socket, address })
}
