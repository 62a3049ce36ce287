//! The side of the server.

use std::fs::{self, Permissions};
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use freehold_domain::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::wire::{REQUEST_BYTES_MAX, Reply, Request};
use crate::cli::Exit;
use crate::config::control_socket;
use crate::lock::DataDirLock;

/// Connections at once; further ones wait in the listener's queue.
const CONNECTIONS_MAX: usize = 16;

/// How long a client may take to send its request.
const READ_MAX: Duration = Duration::from_secs(5);

/// How long a client may take to receive the answer.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// How long to wait after the listener failed, as it does when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on the control socket of the data directory that `lock` holds, with mode 0600. The lock is the proof that
/// a socket found there is a dead server's, so it is removed.
///
/// # Errors
/// What the file system answers.
pub fn bind(lock: &DataDirLock) -> io::Result<UnixListener> {
    let path = control_socket(lock.data_dir());
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    // Until here the directory's own mode (0700) keeps others out.
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers requests with `handler` until `shutdown`; then those that were read are still answered. Replies that do
/// not end with [`Reply::Done`] or [`Reply::Refused`] get a `Done`. What is not a request, comes slower than 5 s or
/// is longer than 64 KiB is refused without asking `handler`.
pub async fn serve_control<H, F>(listener: UnixListener, handler: H, shutdown: CancellationToken)
where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Vec<Reply>> + Send + 'static,
{
    serve_within(READ_MAX, listener, handler, shutdown).await;
}

pub(super) async fn serve_within<H, F>(
    read_max: Duration,
    listener: UnixListener,
    handler: H,
    shutdown: CancellationToken,
) where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Vec<Reply>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => note(ended),
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => drop(connections.spawn(answer(read_max, stream, handler.clone(), shutdown.clone()))),
                Err(error) => {
                    tracing::warn!(error = %error, "the control socket cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        note(ended);
    }
}

/// A handler that panicked has sent nothing: its client finds the outcome unknown.
fn note(ended: Result<io::Result<()>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(error = %error, "a control client went away"),
        Err(error) => tracing::error!(error = %error, "a control request failed"),
    }
}

async fn answer<H, F>(
    read_max: Duration,
    mut stream: UnixStream,
    handler: H,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    H: Fn(Request) -> F,
    F: Future<Output = Vec<Reply>>,
{
    let request = tokio::select! {
        biased;
        request = timeout(read_max, read_request(&mut stream)) => request,
        () = shutdown.cancelled() => return Ok(()),
    };
    let mut replies = match request {
        Err(_) => vec![refused(Exit::Unavailable, "no request came in time")],
        Ok(Err(error)) => return Err(error),
        Ok(Ok(Err(refusal))) => vec![refusal],
        Ok(Ok(Ok(request))) => handler(request).await,
    };
    if !replies.last().is_some_and(Reply::is_last) {
        replies.push(Reply::Done);
    }
    timeout(WRITE_MAX, write(stream, replies)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The request, or the reply to what is none. Nothing of it is repeated: it may hold a password.
async fn read_request(stream: &mut UnixStream) -> io::Result<Result<Request, Reply>> {
    // Room for all of it at once: growing would leave copies of a password in memory.
    let mut line = Vec::with_capacity(REQUEST_BYTES_MAX);
    let read = read_line(stream, &mut line).await;
    let line = Secret::new(line);
    Ok(match read? {
        Line::Whole => serde_json::from_slice(line.expose())
            .map_err(|_| refused(Exit::Internal, "the server does not know this request: is it of another version?")),
        Line::Other => Err(refused(Exit::Data, "the request is not one line of at most 64 KiB")),
        Line::Cut => return Err(io::ErrorKind::UnexpectedEof.into()),
    })
}

enum Line {
    /// It ends with its newline, and nothing follows.
    Whole,
    /// It is too long, or not the only one.
    Other,
    /// The client closed before the newline.
    Cut,
}

async fn read_line(stream: &mut UnixStream, line: &mut Vec<u8>) -> io::Result<Line> {
    while line.len() < REQUEST_BYTES_MAX {
        let room = u64::try_from(REQUEST_BYTES_MAX - line.len()).unwrap_or(u64::MAX);
        let start = line.len();
        if (&mut *stream).take(room).read_buf(line).await? == 0 {
            return Ok(Line::Cut);
        }
        let new = line.get(start..).unwrap_or_default();
        if let Some(end) = new.iter().position(|byte| *byte == b'\n') {
            return Ok(if start + end + 1 == line.len() { Line::Whole } else { Line::Other });
        }
    }
    Ok(Line::Other)
}

async fn write(mut stream: UnixStream, replies: Vec<Reply>) -> io::Result<()> {
    let mut answer = Vec::new();
    for reply in replies {
        serde_json::to_writer(&mut answer, &reply)?;
        answer.push(b'\n');
    }
    let answer = Secret::new(answer); // it may hold a password that was made
    stream.write_all(answer.expose()).await?;
    stream.shutdown().await
}

fn refused(exit: Exit, message: &str) -> Reply {
    Reply::Refused { exit: exit.code(), message: message.to_owned() }
}
