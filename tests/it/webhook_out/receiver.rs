//! An endpoint of somebody's: an HTTPS server that writes down what it is told, and answers well or badly, as each path is set.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::support::{Authority, Folder};

/// How a path answers.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// With this status, these lines of a head and this body.
    Answer(u16, &'static str, String),
    /// With an empty 200, after so long.
    Late(Duration),
    /// Never.
    Hang,
    /// A byte a second.
    Drip,
    /// By closing the connection.
    Close,
}

/// What a path was told.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    pub(crate) at: Instant,
}

#[derive(Default)]
struct Known {
    modes: BTreeMap<String, Mode>,
    heard: Vec<Heard>,
}

/// The server, for every name under `hooks.test`.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    known: Arc<Mutex<Known>>,
}

impl Receiver {
    /// On this address, certified by `authority`.
    pub(crate) async fn start(authority: &Authority, folder: &Folder, at: Ipv4Addr) -> Self {
        let files = authority.certify(folder.path(), "hooks", &["hooks.test", "*.hooks.test"]);
        let listener = TcpListener::bind((at, 0)).await.unwrap();
        let (address, known) = (listener.local_addr().unwrap(), Arc::<Mutex<Known>>::default());
        let (acceptor, shared) = (files.acceptor(), Arc::clone(&known));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &shared).await;
                    }
                });
            }
        });
        Self { address, known }
    }

    /// How a path answers from now on; with an empty 200 where nothing is set.
    pub(crate) fn set(&self, path: &str, mode: Mode) {
        self.known.lock().unwrap().modes.insert(path.to_owned(), mode);
    }

    /// What a path was told, in order.
    pub(crate) fn heard(&self, path: &str) -> Vec<Heard> {
        self.known.lock().unwrap().heard.iter().filter(|heard| heard.path == path).cloned().collect()
    }

    /// The URL of a path at a name.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://hooks.test:{}{path}", self.address.port())
    }
}

/// An answer with this status and nothing else.
pub(crate) fn status(status: u16) -> Mode {
    Mode::Answer(status, "", String::new())
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, known: &Mutex<Known>) {
    let Some(heard) = read(&mut stream).await else { return };
    let mode = {
        let mut known = known.lock().unwrap();
        let mode = known.modes.get(&heard.path).cloned().unwrap_or_else(|| status(200));
        known.heard.push(heard);
        mode
    };
    match mode {
        Mode::Answer(status, lines, body) => {
            let length = body.len();
            let start = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{lines}connection: close\r\n\r\n");
            drop(stream.write_all(format!("{start}{body}").as_bytes()).await);
            drop(stream.shutdown().await);
        }
        Mode::Late(pause) => {
            sleep(pause).await;
            drop(stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await);
        }
        Mode::Hang => sleep(Duration::from_mins(1)).await,
        Mode::Drip => {
            for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                drop(stream.flush().await);
                sleep(Duration::from_secs(1)).await;
            }
        }
        Mode::Close => {}
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Heard> {
    let (mut bytes, mut chunk) = (vec![], [0; 4_096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut lines = head.lines();
            let path = lines.next()?.split(' ').nth(1)?.to_owned();
            let headers: BTreeMap<_, _> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length: usize = headers.get("content-length")?.parse().unwrap();
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8(bytes[end + 4..].to_vec()).unwrap();
                return Some(Heard { path, headers, body, at: Instant::now() });
            }
        }
        match stream.read(&mut chunk).await {
            Ok(n @ 1..) => bytes.extend_from_slice(&chunk[..n]),
            Ok(0) | Err(_) => return None,
        }
    }
}
