//! Bytes that are no request are refused like everything else: by the service, with a problem, an id and a log line.
//!
//! hyper refuses them by itself, with an empty body, and has no hook for it. But it must write to the socket, and what
//! it writes on HTTP/1 while no answer is under way can be nothing else (on HTTP/2 nothing looks like a status line):
//!
//! Passing --hyper's own refusal--> Asking --the service's answer--> Sending --all sent--> over

use std::future::Future;
use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::lively::Life;
use crate::edge::Unreadable;

/// Has the service answer what hyper refused with this status; once, for the connection ends with it.
pub(super) type Refuse = Box<dyn FnOnce(StatusCode) -> Refusal + Send>;
/// The service's answer, on its way.
pub(super) type Refusal = Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>;

/// What stands for the unreadable bytes before the service. Its method is one that nobody knows.
pub(super) fn request(verdict: StatusCode) -> Request {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::from_bytes(b"-").unwrap_or_default();
    request.extensions_mut().insert(Unreadable(verdict));
    request
}

/// A socket on which hyper's own refusals are replaced by the service's.
pub(super) struct Candid<T> {
    inner: T,
    life: Arc<Life>,
    refuse: Option<Refuse>,
    /// The answer under way, and the date that hyper gave it.
    asking: Option<(Refusal, Option<HeaderValue>)>,
    unsent: Bytes,
}

impl<T> Candid<T> {
    pub(super) fn new(inner: T, life: Arc<Life>, refuse: Refuse) -> Self {
        Self { inner, life, refuse: Some(refuse), asking: None, unsent: Bytes::new() }
    }

    /// Takes these bytes in, if they are hyper's own refusal: how many they are.
    fn take_refusal(&mut self, bufs: &[IoSlice<'_>]) -> Option<usize> {
        let head = bufs.first()?;
        let verdict = verdict(head).filter(|_| self.life.is_settled())?;
        let refuse = self.refuse.take()?;
        self.asking = Some((refuse(verdict), date(head)));
        Some(bufs.iter().map(|buf| buf.len()).sum())
    }
}

impl<T: AsyncWrite + Unpin> Candid<T> {
    /// Asks and sends, if there is something to say.
    fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some((refusal, date)) = &mut self.asking {
            let response = ready!(refusal.as_mut().poll(cx));
            self.unsent = written(response, date.take()).into();
            self.asking = None;
        }
        while self.unsent.has_remaining() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.unsent))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                count => self.unsent.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The status of a refusal that is about to be sent.
fn verdict(head: &[u8]) -> Option<StatusCode> {
    let status = head.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    StatusCode::from_bytes(status).ok().filter(StatusCode::is_client_error)
}

/// The date that a head carries: hyper keeps it, and nobody else here has a clock.
fn date(head: &[u8]) -> Option<HeaderValue> {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.find_map(|line| HeaderValue::from_bytes(line.strip_prefix(b"date: ")?).ok())
}

/// The answer as HTTP/1.1, the last of its connection.
fn written(response: Response<Bytes>, date: Option<HeaderValue>) -> Vec<u8> {
    let (mut head, body) = response.into_parts();
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    if let Some(date) = date {
        head.headers.insert(DATE, date);
    }
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}

impl<T: AsyncRead + Unpin> AsyncRead for Candid<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Candid<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        match self.take_refusal(&[IoSlice::new(buf)]) {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => Pin::new(&mut self.inner).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        match self.take_refusal(bufs) {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => Pin::new(&mut self.inner).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_said(cx))?;
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.life.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_said(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
