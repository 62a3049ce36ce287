//! Group commit: whoever waits for the same writer shares its next transaction, and with it one wait for the disk.
//!
//! ```text
//! Idle --join--> Gathering --`gather`--> Committing(all who joined until then)
//! Committing --answered, somebody joined meanwhile--> Gathering      --answered, nobody did--> Idle
//! ```
//!
//! How many share is bounded by what the tenant may have in flight.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// Those who wait for one writer: `A` is what each asks, `T` what becomes of it.
pub(crate) struct GroupCommit<A, T> {
    waiting: Mutex<Vec<(A, oneshot::Sender<T>)>>,
    writer: tokio::sync::Mutex<()>,
}

impl<A, T> Default for GroupCommit<A, T> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), writer: tokio::sync::Mutex::default() }
    }
}

impl<A, T> GroupCommit<A, T> {
    /// Joins whoever waits. One of them waits for company as long as `gather`, and calls its `commit` with what all of
    /// them ask; it answers in the same order. `None` when it ended without an answer: nobody knows then what was
    /// committed.
    pub(crate) async fn join<F>(&self, ask: A, gather: Duration, commit: impl FnOnce(Vec<A>) -> F) -> Option<T>
    where
        F: Future<Output = Vec<T>>,
    {
        let (answer, mut outcome) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((ask, answer));
        tokio::select! {
            biased;
            outcome = &mut outcome => return outcome.ok(),
            _writer = self.writer.lock() => {
                if !gather.is_zero() {
                    tokio::time::sleep(gather).await;
                }
                let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
                let (asks, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
                // The writer before may have answered us while we took its place.
                if !asks.is_empty() {
                    for (answer, outcome) in answers.into_iter().zip(commit(asks).await) {
                        drop(answer.send(outcome)); // whoever hung up needs none
                    }
                }
            }
        }
        outcome.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;

    use super::*;

    type Group = Arc<GroupCommit<u32, u32>>;

    /// Commits when there is a permit, doubling each ask; notes how many shared.
    async fn double(asks: Vec<u32>, permits: Arc<Semaphore>, sizes: Arc<Mutex<Vec<usize>>>) -> Vec<u32> {
        permits.acquire().await.unwrap().forget();
        sizes.lock().unwrap().push(asks.len());
        asks.into_iter().map(|ask| 2 * ask).collect()
    }

    #[tokio::test]
    async fn all_who_wait_for_a_commit_share_the_next() {
        let (group, permits, sizes) = (Group::default(), Arc::new(Semaphore::new(0)), Arc::default());
        let mut joined = JoinSet::new();
        for ask in 0..20 {
            let (group, permits, sizes) = (Arc::clone(&group), Arc::clone(&permits), Arc::clone(&sizes));
            joined.spawn(
                async move { (ask, group.join(ask, Duration::ZERO, |asks| double(asks, permits, sizes)).await) },
            );
            tokio::task::yield_now().await;
        }
        permits.add_permits(2);
        for (ask, outcome) in joined.join_all().await {
            assert_eq!(outcome, Some(2 * ask));
        }
        assert_eq!(*sizes.lock().unwrap(), [1, 19]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_waits_for_company_and_nobody_longer_than_it() {
        let (group, permits, sizes) = (Group::default(), Arc::new(Semaphore::new(9)), Arc::default());
        let mut joined = JoinSet::new();
        for ask in 0..5 {
            let (group, permits, sizes) = (Arc::clone(&group), Arc::clone(&permits), Arc::clone(&sizes));
            joined.spawn(async move {
                tokio::time::sleep(Duration::from_millis(4 * u64::from(ask))).await;
                group.join(ask, Duration::from_millis(10), |asks| double(asks, permits, sizes)).await
            });
        }
        joined.join_all().await;
        assert_eq!(*sizes.lock().unwrap(), [3, 2]);
    }

    #[tokio::test]
    async fn when_a_commit_dies_nobody_is_told_a_result_and_the_next_works() {
        let group = Group::default();
        let (held, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let first = tokio::spawn({
            let (group, held, begun) = (Arc::clone(&group), Arc::clone(&held), Arc::clone(&begun));
            async move {
                let dies = async |_| {
                    begun.add_permits(1);
                    held.acquire().await.unwrap().forget();
                    unreachable!("the commit dies")
                };
                group.join(1, Duration::ZERO, dies).await
            }
        });
        begun.acquire().await.unwrap().forget();
        held.add_permits(1);
        assert!(first.await.unwrap_err().is_panic());
        assert_eq!(group.join(4, Duration::ZERO, async |asks| asks).await, Some(4));
    }
}
