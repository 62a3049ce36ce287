//! The side of the command line.

use std::io;
use std::path::Path;

use freehold_domain::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::wire::{REQUEST_BYTES_MAX, Reply, Request};

/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Asks the server that listens at `socket`. The last of its replies is [`Reply::Done`] or [`Reply::Refused`].
///
/// # Errors
/// `NotFound` or `ConnectionRefused`: no server runs, and nothing was sent. `InvalidInput`: the request is longer than
/// 64 KiB. Anything else, `TimedOut` included (after a minute, or an hour for an audit log): the outcome is unknown.
pub async fn ask(socket: &Path, request: &Request) -> io::Result<Vec<Reply>> {
    // Room for all of it at once: growing would leave copies of a password in memory.
    let mut line = Vec::with_capacity(REQUEST_BYTES_MAX);
    let written = serde_json::to_writer(&mut line, request);
    line.push(b'\n');
    let line = Secret::new(line);
    written?;
    if line.expose().len() > REQUEST_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the request is longer than 64 KiB"));
    }
    let stream = UnixStream::connect(socket).await?;
    match timeout(request.answer_max(), exchange(stream, line.expose())).await {
        Ok(answer) => answer,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time")),
    }
}

async fn exchange(mut stream: UnixStream, line: &[u8]) -> io::Result<Vec<Reply>> {
    stream.write_all(line).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let replies: Result<Vec<Reply>, _> = serde_json::Deserializer::from_slice(&answer).into_iter().collect();
    match replies {
        Ok(replies) if replies.last().is_some_and(Reply::is_last) => Ok(replies),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed before it was done")),
    }
}
