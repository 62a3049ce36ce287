//! Queues of work that waits in tenants' stores: whose is due, and rounds for them, a bounded number at a time.
//!
//! The rows are the queue; what is here only says when to look at them. A commit that adds some wakes their key at once, and
//! [`crate::due`] finds those of an earlier run and of other nodes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_domain::delivery::Rounds;
use freehold_domain::id::TenantId;
use freehold_domain::time::UnixMs;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ambient::Ambient;

/// How long a server that stops waits for rounds under way.
const DRAIN: Duration = Duration::from_secs(2);

/// One group: keys that have no share of their own.
pub(crate) const EVERYBODY: (fn(&TenantId), usize) = (|_| (), usize::MAX);

/// A queue whose rounds are made by key: one at a time for each.
pub(crate) struct Queue<K> {
    rounds: Mutex<Rounds<K>>,
    bell: Notify,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { rounds: Mutex::default(), bell: Notify::new() }
    }
}

impl<K: Copy + Ord + Send + 'static> Queue<K> {
    /// There is something for this key that is due at `at`: whoever runs the queue learns of it at once.
    pub(crate) fn wake(&self, key: K, at: UnixMs) {
        self.rounds().wake(key, at);
        self.bell.notify_one();
    }

    /// The clock has jumped: what has become due is found.
    #[cfg(feature = "test-faults")]
    pub(crate) fn look_at_the_clock(&self) {
        self.bell.notify_one();
    }

    /// How many keys have something, as far as this node knows.
    pub(crate) fn len(&self) -> usize {
        self.rounds().len()
    }

    /// Makes rounds until `stop`, at most `most` at a time, and of no group more than `group_max`. A round does what is due for its
    /// key, and answers when there is more: its next turn comes after those who wait. Where it panics it is made again after
    /// `again`.
    pub(crate) async fn run<F, G: Ord>(
        &self,
        ambient: &Ambient,
        stop: &CancellationToken,
        (most, again): (usize, Duration),
        (group, group_max): (impl Fn(&K) -> G, usize),
        round: impl Fn(K) -> F,
    ) where
        F: Future<Output = Option<UnixMs>> + Send + 'static,
    {
        let mut rounds = JoinSet::new();
        while !stop.is_cancelled() {
            let now = ambient.now();
            let due = self.rounds().take_due(now, most - rounds.len(), (&group, group_max));
            for key in due {
                let going = tokio::spawn(round(key));
                rounds.spawn(async move { (key, going.await) });
            }
            let next = self.rounds().next_after(now).filter(|_| rounds.len() < most);
            let until_next = async {
                match next {
                    Some(at) => tokio::time::sleep(at.since(now)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.bell.notified() => {}
                Some(Ok((key, next))) = rounds.join_next() => {
                    let next = next.unwrap_or_else(|_| Some(ambient.now().plus(again)));
                    self.rounds().finished(key, next);
                }
                () = until_next => {}
            }
        }
        // What a round that is cut off has claimed is done after its lease.
        drop(tokio::time::timeout(DRAIN, async { while rounds.join_next().await.is_some() {} }).await);
    }

    /// A step changes one entry: what a panic leaves behind is whole.
    fn rounds(&self) -> MutexGuard<'_, Rounds<K>> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
