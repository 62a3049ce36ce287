//! A lean HTTP/1.1 client: it must not be the bottleneck of what it measures. It sends prepared bytes and reads one
//! answer with a `Content-Length` at a time, over a connection that is kept.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A kept connection.
pub(crate) struct Conn {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer, as long as the next one is not asked for.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    head: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// The id that the server gave the request.
    pub(crate) fn request_id(&self) -> String {
        let head = std::str::from_utf8(self.head).unwrap();
        head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap().to_owned()
    }

    /// Text of the body's JSON.
    pub(crate) fn text(&self, key: &str) -> String {
        let body: Value = serde_json::from_slice(self.body).unwrap();
        body[key].as_str().unwrap().to_owned()
    }
}

impl Conn {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::with_capacity(8 * 1_024) }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Answer<'_> {
        self.stream.write_all(request).await.unwrap();
        self.read.clear();
        let (mut status, mut head, mut whole) = (0, 0, usize::MAX);
        while self.read.len() < whole {
            let read = self.stream.read_buf(&mut self.read).await.unwrap();
            assert!(read > 0, "the server hung up: {}", String::from_utf8_lossy(&self.read));
            if head == 0
                && let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n")
            {
                head = end + 4;
                let text = std::str::from_utf8(&self.read[..head]).unwrap();
                status = text[9..12].parse().unwrap();
                whole = head + content_length(text);
            }
        }
        assert_eq!(self.read.len(), whole, "an answer that was not asked for");
        Answer { status, head: &self.read[..head], body: &self.read[head..whole] }
    }
}

fn content_length(head: &str) -> usize {
    head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap())
}

/// The bytes of `GET {path}` with a bearer token.
pub(crate) fn get(host: &str, path: &str, token: &str) -> Vec<u8> {
    bare("GET", host, path, token)
}

/// The bytes of a request with a bearer token and no body.
pub(crate) fn bare(method: &str, host: &str, path: &str, token: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// The bytes of `POST {path}` with a JSON body.
pub(crate) fn post(host: &str, path: &str, body: &Value) -> Vec<u8> {
    with_body("POST", host, path, "", body)
}

/// The same with a bearer token.
pub(crate) fn post_as(host: &str, path: &str, token: &str, body: &Value) -> Vec<u8> {
    with_body("POST", host, path, &format!("authorization: Bearer {token}\r\n"), body)
}

/// The bytes of `PUT {path}` with a bearer token and a JSON body.
pub(crate) fn put_as(host: &str, path: &str, token: &str, body: &Value) -> Vec<u8> {
    with_body("PUT", host, path, &format!("authorization: Bearer {token}\r\n"), body)
}

/// The bytes of `PATCH {path}` with a bearer token and a JSON body.
pub(crate) fn patch(host: &str, path: &str, token: &str, body: &Value) -> Vec<u8> {
    with_body("PATCH", host, path, &format!("authorization: Bearer {token}\r\n"), body)
}

fn with_body(method: &str, host: &str, path: &str, line: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{line}content-type: application/json\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
