//! As much of an HTTP client as it takes to look at one answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection, and then an answer, may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
const ANSWER_BYTES_MAX: u64 = 256 * 1024;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let field =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Some(Self { status, headers: lines.filter_map(field).collect(), body: body.to_owned() })
    }
}

/// Connects to where `listen` is reached from this machine.
pub(super) async fn connect(listen: SocketAddr) -> io::Result<TcpStream> {
    within(TcpStream::connect(reached_at(listen))).await
}

/// Asks for `path` of `host`, as a proxy would that says what its client came by.
pub(super) async fn get(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    (host, path): (&str, &str),
    forwarded: Option<&str>,
) -> io::Result<Answer> {
    let forwarded = forwarded.map_or(String::new(), |scheme| format!("x-forwarded-proto: {scheme}\r\n"));
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{forwarded}connection: close\r\n\r\n");
    let mut bytes = vec![];
    within(async {
        stream.write_all(request.as_bytes()).await?;
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await
    })
    .await?;
    Answer::parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "that is no HTTP/1.1"))
}

/// Within our patience.
pub(super) async fn within<T>(wait: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
}

/// A listener on every address is reached at this machine's own.
const fn reached_at(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), listen.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => listen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = Answer::parse(b"HTTP/1.1 404 Not Found\r\nX-A: b\r\nx-a:c\r\n\r\nbody").expect("an answer");
        assert_eq!((answer.status, answer.header("x-a"), answer.headers.len()), (404, Some("b"), 2));
        assert_eq!(answer.body, "body");
        for wrong in [&b""[..], b"HTTP/1.1 \r\n\r\n", b"SSH-2.0-x\r\n\r\n"] {
            assert!(Answer::parse(wrong).is_none());
        }
    }
}
