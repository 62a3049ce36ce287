//! Injected failures, compiled in with the feature `test-faults` only.

/// Marks a point at which a test may end the process; nothing without the feature.
#[cfg(not(feature = "test-faults"))]
pub(crate) const fn reach(_point: &'static str) {}

#[cfg(feature = "test-faults")]
pub use injected::*;

#[cfg(feature = "test-faults")]
mod injected {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    static ABORT_AT: Mutex<Option<String>> = Mutex::new(None);

    /// What fails, at which point and for what, and how often still.
    static FAILS: Mutex<BTreeMap<(String, String), u32>> = Mutex::new(BTreeMap::new());

    /// How far the process clock has jumped ahead.
    static AHEAD_MS: AtomicU64 = AtomicU64::new(0);

    /// Lets the process clock jump ahead, by so much more.
    pub fn jump_ahead(by: Duration) {
        AHEAD_MS.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How far it has jumped since the start.
    pub(crate) fn ahead() -> Duration {
        Duration::from_millis(AHEAD_MS.load(Ordering::Relaxed))
    }

    /// What befalls an actor.
    #[derive(Clone, Copy, Debug)]
    pub enum Fault {
        /// It panics.
        Panic,
        /// It does nothing else for this long.
        Stall(Duration),
    }

    impl Fault {
        /// Lets it happen, inside the actor's step.
        pub(crate) async fn strike(self) {
            match self {
                Self::Panic => {
                    #[expect(clippy::panic, reason = "this is the injected failure")]
                    {
                        panic!("injected failure");
                    }
                }
                Self::Stall(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Ends the process, as `kill -9` would, when `point` is reached next.
    pub fn abort_at(point: &str) {
        *ABORT_AT.lock().unwrap_or_else(PoisonError::into_inner) = Some(point.to_owned());
    }

    /// Lets what is done at `point` for the thing of this name fail so often.
    pub fn fail(point: String, of: String, times: u32) {
        FAILS.lock().unwrap_or_else(PoisonError::into_inner).insert((point, of), times);
    }

    /// Whether what is done here for the thing of this name fails this time.
    pub(crate) fn fails(point: &str, of: &str) -> bool {
        let mut fails = FAILS.lock().unwrap_or_else(PoisonError::into_inner);
        fails.get_mut(&(point.to_owned(), of.to_owned())).is_some_and(|left| {
            let fails = *left > 0;
            *left = left.saturating_sub(1);
            fails
        })
    }

    /// Marks a point at which a test may end the process.
    pub(crate) fn reach(point: &'static str) {
        let armed = ABORT_AT.lock().unwrap_or_else(PoisonError::into_inner).as_deref() == Some(point);
        if armed {
            std::process::abort();
        }
    }
}
