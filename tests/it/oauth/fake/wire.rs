//! As much HTTP as the fake provider needs: one request a connection.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(super) use crate::support::Asked;

/// What is done with it.
pub(super) enum Told {
    Answer(u16, String),
    Elsewhere(String),
    Endless,
    Nothing,
    Closed,
}

pub(super) async fn serve(listener: TcpListener, answer: impl FnMut(Asked) -> Told + Clone + Send + 'static) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(exchange(stream, answer.clone()));
    }
}

/// Takes one request; `None` when the other side is gone, which is its right.
async fn exchange(mut stream: TcpStream, mut answer: impl FnMut(Asked) -> Told) -> Option<()> {
    let asked = Asked::read(&mut stream).await?;
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
