//! One question to an actor: a deadline until it starts, patience until it ends, and no doubt which of the two it was.
//!
//! A question is *unstarted* until its actor takes it up. Whoever asks may give up an unstarted question, and only then:
//! both sides settle that with one atomic step, so a question that was given up has no effect and one that was started
//! is waited for. An unstarted question whose actor died is safe to ask again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use metrics::{Gauge, Histogram};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a question may wait before its actor takes it up.
pub const START_WITHIN: Duration = Duration::from_millis(250);

/// How long a started question may take. Its effects are bounded by the store's own time-out; this is the last resort.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

const UNSTARTED: u8 = 0;
const STARTED: u8 = 1;
const GIVEN_UP: u8 = 2;

/// What is told of the questions that wait for one kind of actor.
#[derive(Debug)]
pub(crate) struct Queue {
    /// How many wait.
    pub(crate) depth: Gauge,
    /// How many seconds each has waited.
    pub(crate) age: Histogram,
}

#[derive(Debug)]
struct Ticket {
    state: AtomicU8,
    /// The queue it waits in, and since when; none where nobody counts.
    queue: Option<(Arc<Queue>, Instant)>,
}

impl Ticket {
    fn new(queue: Option<(Arc<Queue>, Instant)>) -> Self {
        if let Some((queue, _)) = &queue {
            queue.depth.increment(1.0);
        }
        Self { state: AtomicU8::new(UNSTARTED), queue }
    }

    /// `false` when it was settled before. It waits no more, whatever becomes of it.
    fn settle(&self, to: u8) -> bool {
        let settled = self.state.compare_exchange(UNSTARTED, to, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if let (true, Some((queue, since))) = (settled, &self.queue) {
            queue.depth.decrement(1.0);
            queue.age.record(since.elapsed());
        }
        settled
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.settle(GIVEN_UP); // its actor died, and whoever asked has gone
    }
}

/// The actor's end of a question.
#[derive(Debug)]
pub struct Reply<T> {
    answer: oneshot::Sender<T>,
    ticket: Arc<Ticket>,
}

/// The asker's end of a question.
#[derive(Debug)]
pub struct Asked<T> {
    answer: oneshot::Receiver<T>,
    ticket: Arc<Ticket>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The actor did not take the question up in time; it never will.
    #[error("the actor did not start in time")]
    Late,
    /// The actor died before it took the question up; asking again is safe.
    #[error("the actor died before it started")]
    Unstarted,
    /// The actor died after it took the question up: the outcome is unknown.
    #[error("the actor died before it answered")]
    Unknown,
}

/// A new question: the actor's end and the asker's.
#[must_use]
pub fn question<T>() -> (Reply<T>, Asked<T>) {
    ends(Ticket::new(None))
}

/// A new question that is counted while it waits.
pub(crate) fn queued<T>(queue: &Arc<Queue>) -> (Reply<T>, Asked<T>) {
    ends(Ticket::new(Some((Arc::clone(queue), Instant::now()))))
}

fn ends<T>(ticket: Ticket) -> (Reply<T>, Asked<T>) {
    let (sender, receiver) = oneshot::channel();
    let ticket = Arc::new(ticket);
    (Reply { answer: sender, ticket: Arc::clone(&ticket) }, Asked { answer: receiver, ticket })
}

impl<T> Reply<T> {
    /// Takes the question up. `false` when it was given up: it must then have no effect.
    #[must_use]
    pub fn start(&self) -> bool {
        self.ticket.settle(STARTED)
    }

    /// Answers; the answer to a caller that hung up is dropped.
    pub fn answer(self, answer: T) {
        drop(self.answer.send(answer));
    }
}

impl<T> Asked<T> {
    /// Waits: at most `start_within` for the start, then for the answer.
    ///
    /// # Errors
    /// [`NoAnswer`] says whether the question can have had an effect.
    pub async fn answer(mut self, start_within: Duration) -> Result<T, NoAnswer> {
        let lost = |ticket: &Ticket| if ticket.settle(GIVEN_UP) { NoAnswer::Unstarted } else { NoAnswer::Unknown };
        match tokio::time::timeout(start_within, &mut self.answer).await {
            Ok(answer) => return answer.map_err(|_| lost(&self.ticket)),
            Err(_) if self.ticket.settle(GIVEN_UP) => return Err(NoAnswer::Late),
            Err(_) => {}
        }
        match tokio::time::timeout(ANSWER_WITHIN, self.answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(NoAnswer::Unknown),
        }
    }

    /// Waits at most `within`, started or not: for questions whose effect may happen twice or never.
    ///
    /// # Errors
    /// [`NoAnswer::Late`] when there was no answer in time, the others when there will be none.
    pub async fn answer_until(self, within: Duration) -> Result<T, NoAnswer> {
        match tokio::time::timeout(within, self.answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) if self.ticket.settle(GIVEN_UP) => Err(NoAnswer::Unstarted),
            Ok(Err(_)) => Err(NoAnswer::Unknown),
            Err(_) => Err(NoAnswer::Late),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_unstarted_question_is_given_up_and_then_has_no_effect() {
        let (reply, asked) = question::<u8>();
        assert_eq!(asked.answer(START_WITHIN).await, Err(NoAnswer::Late));
        assert!(!reply.start());
    }

    #[tokio::test(start_paused = true)]
    async fn a_started_question_is_waited_for() {
        let (reply, asked) = question::<u8>();
        assert!(reply.start());
        let answer = tokio::spawn(asked.answer(START_WITHIN));
        tokio::time::sleep(START_WITHIN * 4).await;
        reply.answer(7);
        assert_eq!(answer.await.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn a_question_waits_until_it_is_taken_up_given_up_or_lost() {
        let depth = Arc::new(AtomicU64::default());
        let waiting = || f64::from_bits(depth.load(Ordering::SeqCst));
        let queue = Arc::new(Queue { depth: Gauge::from_arc(Arc::clone(&depth)), age: Histogram::noop() });
        let (taken, asked) = queued::<u8>(&queue);
        let (lost, _) = queued::<u8>(&queue);
        let (late, given_up) = queued::<u8>(&queue);
        assert!((waiting() - 3.0).abs() < 0.1);
        assert!(taken.start());
        assert!((waiting() - 2.0).abs() < 0.1);
        drop(lost);
        assert!((waiting() - 1.0).abs() < 0.1);
        assert_eq!(given_up.answer(Duration::ZERO).await, Err(NoAnswer::Late));
        assert!(waiting().abs() < 0.1);
        drop((late, taken, asked));
        assert!(waiting().abs() < 0.1);
    }

    #[tokio::test]
    async fn a_dead_actor_is_told_apart_by_whether_it_had_started() {
        let (reply, asked) = question::<u8>();
        drop(reply);
        assert_eq!(asked.answer(START_WITHIN).await, Err(NoAnswer::Unstarted));
        let (reply, asked) = question::<u8>();
        assert!(reply.start());
        drop(reply);
        assert_eq!(asked.answer(START_WITHIN).await, Err(NoAnswer::Unknown));
    }
}
