//! A TCP proxy on loopback, between a server and what it depends on: it can be cut and it can hang.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the proxy does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Passes every byte on.
    Open,
    /// Every connection is closed, new ones are refused.
    Cut,
    /// Connections stay open and new ones are taken, but no byte passes.
    Hung,
    /// What the client says passes, and no answer does.
    Deaf,
    /// Every byte passes after this long.
    Late(Duration),
}

/// The running proxy; dropped, it is cut.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    line: watch::Sender<Line>,
}

impl Proxy {
    /// Starts before what listens on this port of loopback.
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap();
        let (line, seen) = watch::channel(Line::Open);
        tokio::spawn(run(listener, own, port, seen));
        Self { port: own.port(), line }
    }

    /// From here on.
    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn run(listener: TcpListener, own: SocketAddr, port: u16, mut line: watch::Receiver<Line>) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if *line.borrow_and_update() == Line::Cut {
            listener = None;
            connections.shutdown().await;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(own).await.unwrap());
        }
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await.unwrap().0,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = line.changed() => if changed.is_err() { return },
            client = accept => drop(connections.spawn(join(client, port, line.clone()))),
        }
    }
}

/// Passes bytes both ways until either end has no more, or the task is ended.
async fn join(client: TcpStream, port: u16, line: watch::Receiver<Line>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let ((client_out, client_in), (server_out, server_in)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = pass(client_out, server_in, line.clone(), |line| line != Line::Hung) => {}
        () = pass(server_out, client_in, line, |line| !matches!(line, Line::Hung | Line::Deaf)) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    passes: impl Fn(Line) -> bool,
) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        if line.wait_for(|line| passes(*line)).await.is_err() {
            return;
        }
        let late = *line.borrow();
        if let Line::Late(by) = late {
            tokio::time::sleep(by).await;
        }
        if to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}
