//! Load: closed loops over kept connections, and what is made of the figures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::wire::Conn;

/// Requests, as the bytes that are sent.
pub(crate) type Requests = Arc<Vec<Vec<u8>>>;

/// When a closed loop ends.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// After this many requests.
    Count(usize),
    /// After this long.
    After(Duration),
}

/// Connections that each send the next request as soon as the last was answered.
pub(crate) struct Crowd(Vec<Conn>);

impl Crowd {
    /// Opens `size` connections.
    pub(crate) async fn open(address: SocketAddr, size: usize) -> Self {
        let mut conns = Vec::with_capacity(size);
        for _ in 0..size {
            conns.push(Conn::open(address).await);
        }
        Self(conns)
    }

    /// Sends the requests over and over; how many were answered, all of them with 200.
    pub(crate) async fn run(&mut self, requests: &Requests, until: Until) -> usize {
        self.run_to(200, requests, until).await
    }

    /// The same, all of them with this status.
    pub(crate) async fn run_to(&mut self, status: u16, requests: &Requests, until: Until) -> usize {
        let next = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let mut loops = JoinSet::new();
        for mut conn in self.0.drain(..) {
            let (requests, next) = (Arc::clone(requests), Arc::clone(&next));
            loops.spawn(async move {
                let mut answered = 0;
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let over = match until {
                        Until::Count(count) => n >= count,
                        Until::After(long) => began.elapsed() >= long,
                    };
                    if over {
                        return (conn, answered);
                    }
                    let answer = conn.ask(&requests[n % requests.len()]).await;
                    assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(answer.body));
                    answered += 1;
                }
            });
        }
        let mut answered = 0;
        for (conn, mine) in loops.join_all().await {
            self.0.push(conn);
            answered += mine;
        }
        answered
    }
}

/// Loops that run until they are told to stop, and how often they succeeded.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    done: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Tally {
    /// Something succeeded.
    pub(crate) fn count(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// How often so far.
    pub(crate) fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Whether to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Tells the loops to stop.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Successes a second over the time to come, after a while that is not counted.
    pub(crate) async fn rate(&self, warm: Duration, window: Duration) -> f64 {
        tokio::time::sleep(warm).await;
        let (began, before) = (Instant::now(), self.done());
        tokio::time::sleep(window).await;
        (self.done() - before) as f64 / began.elapsed().as_secs_f64()
    }
}

/// Runs `one` for every number below `count`, `width` at a time; the results in no order.
pub(crate) async fn each<T, F>(count: usize, width: usize, one: impl Fn(usize) -> F + Send + Sync + 'static) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send,
{
    let (next, one) = (Arc::new(AtomicUsize::new(0)), Arc::new(one));
    let mut workers = JoinSet::new();
    for _ in 0..width {
        let (next, one) = (Arc::clone(&next), Arc::clone(&one));
        workers.spawn(async move {
            let mut mine = vec![];
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return mine;
                }
                mine.push(one(n).await);
            }
        });
    }
    workers.join_all().await.into_iter().flatten().collect()
}

/// Waits on a thread of the caller's own. The timers of a runtime fire for a whole millisecond at once, and all they wake then
/// wait for one another: that burst would be what is measured.
pub(crate) fn sleep_until(due: Instant) {
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
}

/// A runtime with one thread: a generator that leaves the other cores alone.
pub(crate) fn one_thread() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The middle one.
pub(crate) fn median(figures: &[f64]) -> f64 {
    quantile(figures, 0.5)
}

/// The figure that `q` of all are not above (nearest rank).
pub(crate) fn quantile(figures: &[f64], q: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of the list")]
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// The smallest and the largest of the figures.
pub(crate) fn span(figures: &[f64]) -> String {
    format!("{:.2} to {:.2}", quantile(figures, 0.0), quantile(figures, 1.0))
}

/// How long it is since then, in milliseconds.
pub(crate) fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
