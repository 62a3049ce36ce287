//! As much HTTP as the fake provider needs: one request a connection.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request.
pub(super) struct Asked {
    head: String,
    form: String,
}

/// What is done with it.
pub(super) enum Told {
    Answer(u16, String),
    Elsewhere(String),
    Endless,
    Nothing,
    Closed,
}

impl Asked {
    fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub(super) fn path(&self) -> &str {
        self.target().split('?').next().unwrap()
    }

    /// A header's value, or nothing.
    pub(super) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap_or_default()
    }

    /// A parameter of the query or the form, decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let query = self.target().split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').chain(self.form.split('&')).filter_map(|pair| pair.split_once('='));
        pairs.filter(|(known, _)| *known == name).map(|(_, value)| decoded(value)).next()
    }
}

fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend(piece[2..].bytes());
    }
    String::from_utf8(bytes).unwrap()
}

pub(super) async fn serve(listener: TcpListener, answer: impl FnMut(Asked) -> Told + Clone + Send + 'static) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(exchange(stream, answer.clone()));
    }
}

/// Takes one request; `None` when the other side is gone, which is its right.
async fn exchange(mut stream: TcpStream, mut answer: impl FnMut(Asked) -> Told) -> Option<()> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let mut asked = Asked { head: String::from_utf8(head).unwrap(), form: String::new() };
    let mut form = vec![0; asked.header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut form).await.ok()?;
    asked.form = String::from_utf8(form).unwrap();
    let text = match answer(asked) {
        Told::Answer(status, body) => {
            format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        }
        Told::Elsewhere(location) => {
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
        }
        Told::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
            loop {
                stream.write_all(&[b' '; 4_096]).await.ok()?;
            }
        }
        Told::Nothing => return stream.read_u8().await.ok().map(drop),
        Told::Closed => return None,
    };
    stream.write_all(text.as_bytes()).await.ok()
}
