//! Requests as bytes: what no proper client would send.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Answer, Server};

/// No answer may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The answer to these bytes, which need not be the whole of a request.
pub(crate) async fn ask(server: &Server, request: impl AsRef<[u8]>) -> Answer {
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(request.as_ref()).await.unwrap();
    answer(&mut stream).await
}

/// The next answer on a connection: its headers, and as much body as they announce.
pub(crate) async fn answer(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Answer {
    let mut bytes = vec![];
    let read = async {
        loop {
            if let Some(answer) = parse(&bytes) {
                return answer;
            }
            let mut chunk = [0; 4_096];
            let count = stream.read(&mut chunk).await.unwrap();
            assert!(count > 0, "no answer: {}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&chunk[..count]);
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer in time")
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (status, headers, length) = head(&bytes[..end]);
    let body = bytes[end + 4..].get(..length)?.to_vec().into();
    Some(Answer { status, headers, body })
}

/// The status, the headers, and the length of what follows them.
fn head(bytes: &[u8]) -> (StatusCode, HeaderMap, usize) {
    let mut lines = std::str::from_utf8(bytes).unwrap().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.map(|line| line.split_once(':').unwrap()) {
        headers.append(name.parse::<HeaderName>().unwrap(), value.trim().parse::<HeaderValue>().unwrap());
    }
    let length = headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    (status, headers, length)
}
