//! A service that answers ranges, and can do everything a service should not.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Answers with the range.
    Good,
    /// Answers with what is no range.
    Garbage,
    /// Answers with a range of which one line is none.
    HalfGarbage,
    /// Answers with bytes that are no HTTP.
    Noise,
    /// One byte a second.
    Drip,
    /// The head at once, the body never.
    Headless,
    /// Nothing at all.
    Silent,
    /// Closes the connection at once.
    Closed,
    /// 500.
    Failing,
    /// Sends elsewhere.
    Redirect,
    /// Never ends, and is fast.
    Oversize,
}

impl Manner {
    /// All but the good one.
    pub(crate) const HOSTILE: [Self; 10] = [
        Self::Garbage,
        Self::HalfGarbage,
        Self::Noise,
        Self::Drip,
        Self::Headless,
        Self::Silent,
        Self::Closed,
        Self::Failing,
        Self::Redirect,
        Self::Oversize,
    ];
}

struct State {
    manner: Manner,
    range: String,
    heads: Vec<String>,
}

/// The running service.
pub(crate) struct Ranges {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Ranges {
    /// Answers every range with these lines.
    pub(crate) async fn of(range: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { manner: Manner::Good, range: range.to_owned(), heads: vec![] };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, address, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on.
    pub(crate) fn set(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.state.lock().unwrap().heads.clone()
    }
}

/// Takes one request; `None` when the other side is gone, which is its right.
async fn serve(mut stream: TcpStream, own: SocketAddr, state: Arc<Mutex<State>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let (manner, range) = {
        let mut state = state.lock().unwrap();
        state.heads.push(String::from_utf8(head).unwrap());
        (state.manner, state.range.clone())
    };
    let answer = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nLocation: http://{own}/elsewhere\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let good = answer("200 OK", &range);
    let text = match manner {
        Manner::Good => good.clone(),
        Manner::Garbage => answer("200 OK", "<html>all is well</html>"),
        Manner::HalfGarbage => answer("200 OK", &format!("{range}all is well\r\n")),
        Manner::Noise => "\u{0}\u{1}\u{2} all is well\r\n\r\n".to_owned(),
        Manner::Failing => answer("500 Internal Server Error", &range),
        Manner::Redirect => answer("302 Found", ""),
        Manner::Headless => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_owned(),
        Manner::Closed => return Some(()),
        Manner::Drip | Manner::Silent | Manner::Oversize => String::new(),
    };
    stream.write_all(text.as_bytes()).await.ok()?;
    match manner {
        Manner::Drip => {
            for byte in good.as_bytes() {
                stream.write_all(&[*byte]).await.ok()?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Manner::Oversize => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
            loop {
                stream.write_all(range.repeat(100).as_bytes()).await.ok()?;
            }
        }
        Manner::Silent | Manner::Headless => drop(stream.read_u8().await),
        Manner::Good
        | Manner::Garbage
        | Manner::HalfGarbage
        | Manner::Noise
        | Manner::Closed
        | Manner::Failing
        | Manner::Redirect => {}
    }
    Some(())
}
