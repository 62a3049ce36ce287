//! What becomes of an event that was received: how often its effect is tried, and when it is given to a human.
//!
//! ```text
//! has no effect --kept--> Done
//! has one       --kept--> Waiting(0)
//! Waiting(n)    --effect, in the transaction that says so--> Done
//! Waiting(n)    --fails, n + 1 < 8--> Waiting(n + 1), due after 5 s * 2^n, at most ten minutes
//! Waiting(n)    --fails, n + 1 = 8--> Parked          Waiting(n) --cannot be read--> Parked
//! Parked        --replayed by an admin--> Waiting(0)
//! ```
//!
//! A store that does not answer says nothing of the event: that is no try.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How often an effect is tried before its event is parked.
pub const TRIES_MAX: u32 = 8;
/// The pause after the first try; it doubles with each.
pub const RETRY: Duration = Duration::from_secs(5);
/// The longest pause between two tries.
pub const PAUSE_MAX: Duration = Duration::from_mins(10);

/// How an event stands that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its effect is to come.
    Waiting,
    /// It had its effect, or has none.
    Done,
    /// It had none, and is tried no more until somebody says so.
    Parked,
}

/// The text names no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be waiting, done or parked")]
pub struct NoState;

impl State {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Done, Self::Parked];

    /// The name in rows, queries and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Parked => "parked",
        }
    }
}

impl FromStr for State {
    type Err = NoState;

    fn from_str(text: &str) -> Result<Self, NoState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(NoState)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What follows a try in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another one, after this pause.
    Again(Duration),
    /// None: the event is parked.
    Park,
}

impl Next {
    /// After this many tries, of which the last was in vain.
    #[must_use]
    pub fn after(tries: u32) -> Self {
        if tries >= TRIES_MAX {
            return Self::Park;
        }
        let doubled = 1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        Self::Again(RETRY.saturating_mul(doubled).min(PAUSE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for state in State::ALL {
            assert_eq!((state.as_str().parse(), state.to_string().as_str()), (Ok(state), state.as_str()));
        }
        for other in ["", "Done", "failed"] {
            assert_eq!(other.parse::<State>(), Err(NoState), "{other}");
        }
    }

    #[test]
    fn pauses_double_and_the_eighth_try_is_the_last() {
        let seconds: Vec<_> = (1..TRIES_MAX)
            .map(|tries| match Next::after(tries) {
                Next::Again(pause) => pause.as_secs(),
                Next::Park => panic!("{tries} tries are too few to give up"),
            })
            .collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320]);
        assert!(seconds.iter().all(|seconds| *seconds <= PAUSE_MAX.as_secs()));
        assert_eq!((Next::after(TRIES_MAX), Next::after(u32::MAX)), (Next::Park, Next::Park));
    }
}
