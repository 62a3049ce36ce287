//! Whether a connection is alive: what it has done, and by when it must do something.
//!
//! Fresh   --no request within `header_read_max`--> over      Busy --last answer sent--> Idle
//! Idle    --first byte--> Reading (HTTP/1)                    Idle --`idle_max`--> over
//! Reading --headers complete--> Busy                          Reading --`header_read_max`--> over
//!
//! On HTTP/2 a byte need not begin a request (it may be a PING), so there Idle lasts until a request is complete.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

use super::ServeOptions;

/// What a peer that keeps us waiting takes at least, each time as long as it may.
pub(super) const TAKEN_BYTES_MIN: usize = 16 * 1024;

/// After our last byte, for this long or this many bytes, what still comes is read and dropped. Closing at once would
/// reset the connection, and a client that is still sending would never see why it was refused.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// The life of one connection, shared by its socket, its requests and its watch.
#[derive(Debug)]
pub(super) struct Life {
    born: Instant,
    requests: AtomicUsize,
    served: AtomicBool,
    /// Whether some of an answer that is over may still wait to be written.
    unflushed: AtomicBool,
    /// Woken when it does so no longer.
    taken: Notify,
    /// Milliseconds after `born`.
    idle_since: AtomicU64,
    /// Milliseconds after `born`, plus one; 0 while no header is being read.
    reading_since: AtomicU64,
}

impl Life {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            requests: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            unflushed: AtomicBool::new(false),
            taken: Notify::new(),
            idle_since: AtomicU64::new(0),
            reading_since: AtomicU64::new(0),
        })
    }

    /// A request is complete; it lasts until the guard is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.served.store(true, Ordering::Relaxed);
        self.reading_since.store(0, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// When the connection is over unless it does something first; `None` while a request is running.
    pub(super) fn over_at(&self, options: &ServeOptions) -> Option<Instant> {
        if self.requests.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let reading = self.reading_since.load(Ordering::Relaxed).checked_sub(1);
        let (since, wait) = match reading {
            _ if !self.served.load(Ordering::Relaxed) => (0, options.header_read_max),
            Some(since) => (since, options.header_read_max),
            None => (self.idle_since.load(Ordering::Relaxed), options.idle_max),
        };
        Some(self.born + Duration::from_millis(since) + wait)
    }

    /// Whether it has served something and waits for more.
    pub(super) fn is_idle(&self) -> bool {
        self.served.load(Ordering::Relaxed) && self.reading_since.load(Ordering::Relaxed) == 0
    }

    /// Whether everything that was asked is answered, to the last byte: what is written now answers nothing.
    pub(super) fn is_settled(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0 && !self.unflushed.load(Ordering::Relaxed)
    }

    /// Everything that was written is with the kernel.
    pub(super) fn flushed(&self) {
        if self.unflushed.swap(false, Ordering::Relaxed) {
            self.taken.notify_waiters();
        }
    }

    /// Waits until the answer before is with the kernel: who asks on without taking what was answered makes us keep one
    /// answer and not one for each question. For HTTP/1.1 alone, where answers come one after the other.
    pub(super) async fn wait_taken(&self) {
        loop {
            let taken = self.taken.notified();
            if !self.unflushed.load(Ordering::Relaxed) {
                return;
            }
            taken.await;
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn bytes_came(&self) {
        if self.requests.load(Ordering::Relaxed) == 0 && self.reading_since.load(Ordering::Relaxed) == 0 {
            self.reading_since.store(self.now() + 1, Ordering::Relaxed);
        }
    }
}

/// One running request.
#[derive(Debug)]
pub(super) struct Busy(Arc<Life>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::Relaxed);
        self.0.unflushed.store(true, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that notes when bytes come, gives up on a peer that takes none, and lingers before it closes.
pub(super) struct Lively<T> {
    inner: T,
    life: Arc<Life>,
    /// `None` until the first byte: HTTP/2 begins with `P` as `POST` does, but goes on with `RI `.
    http1: Option<bool>,
    opening: [u8; 4],
    opening_len: usize,
    write_stall_max: Duration,
    /// Since the peer first kept us waiting and took less than [`TAKEN_BYTES_MIN`]: the end of its time, and what it took.
    stalled: Option<(Pin<Box<Sleep>>, usize)>,
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<T> Lively<T> {
    pub(super) fn new(inner: T, life: Arc<Life>, write_stall_max: Duration) -> Self {
        Self {
            inner,
            life,
            http1: None,
            opening: [0; 4],
            opening_len: 0,
            write_stall_max,
            stalled: None,
            lingering: None,
        }
    }

    fn came(&mut self, bytes: &[u8]) {
        if self.http1.is_none() {
            for (slot, byte) in self.opening.iter_mut().skip(self.opening_len).zip(bytes) {
                *slot = *byte;
                self.opening_len += 1;
            }
            if self.opening_len == self.opening.len() {
                self.http1 = Some(self.opening != *b"PRI ");
            }
        }
        if self.http1 != Some(false) && !bytes.is_empty() {
            self.life.bytes_came();
        }
    }

    /// `written`, or an error once the peer has taken too little for too long: a byte now and then is no progress.
    fn bounded(&mut self, cx: &mut Context<'_>, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        let wait = self.write_stall_max;
        match (&written, &mut self.stalled) {
            (Poll::Ready(Ok(bytes)), Some((_, taken))) if *taken + bytes < TAKEN_BYTES_MIN => *taken += bytes,
            (Poll::Ready(_), stalled) => *stalled = None,
            (Poll::Pending, stalled) => {
                let (time, _) = stalled.get_or_insert_with(|| (Box::pin(sleep(wait)), 0));
                ready!(time.as_mut().poll(cx));
                return Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the peer takes no bytes")));
            }
        }
        written
    }

    /// `flushed`, which it is when all was taken.
    fn all_taken(&mut self, cx: &mut Context<'_>, flushed: Poll<Result<()>>) -> Poll<Result<()>> {
        let taken = flushed.map_ok(|()| TAKEN_BYTES_MIN);
        self.bounded(cx, taken).map_ok(|_| ())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Lively<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.came(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lively<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.bounded(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.all_taken(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            let flushed = Pin::new(&mut this.inner).poll_shutdown(cx);
            ready!(this.all_taken(cx, flushed))?;
        }
        let (timer, bytes_left) = this.lingering.get_or_insert_with(|| (Box::pin(sleep(LINGER)), LINGER_BYTES_MAX));
        let mut scratch = [0; 4096];
        while *bytes_left > 0 && timer.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => *bytes_left = bytes_left.saturating_sub(buf.filled().len()),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over_in(life: &Life, options: &ServeOptions) -> Option<u64> {
        life.over_at(options).map(|at| u64::try_from((at - life.born).as_millis()).unwrap_or(u64::MAX))
    }

    #[test]
    fn each_state_has_its_bound() {
        let options = ServeOptions::default();
        let life = Life::new();
        assert_eq!(over_in(&life, &options), Some(10_000)); // fresh
        life.bytes_came();
        assert_eq!(over_in(&life, &options), Some(10_000)); // from the accept, whatever trickles in
        let (one, two) = (life.request(), life.request());
        drop(one);
        assert_eq!(over_in(&life, &options), None); // one is still busy
        drop(two);
        assert!(over_in(&life, &options) >= Some(60_000)); // idle
        life.bytes_came();
        assert!(over_in(&life, &options) < Some(20_000)); // reading
    }

    #[test]
    fn http2_is_known_by_its_first_bytes_however_they_are_cut() {
        let opening = |chunks: &[&[u8]]| {
            let mut lively = Lively::new((), Life::new(), Duration::ZERO);
            for chunk in chunks {
                lively.came(chunk);
            }
            lively.http1
        };
        assert_eq!(opening(&[b"PRI * HTTP/2.0"]), Some(false));
        assert_eq!(opening(&[b"P", b"RI", b" *"]), Some(false));
        assert_eq!(opening(&[b"P", b"OST /"]), Some(true));
        assert_eq!(opening(&[b"PR"]), None);
    }
}
