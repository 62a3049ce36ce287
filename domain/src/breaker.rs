//! A circuit breaker: whoever fails again and again is left alone for a while, and then asked once whether it is well.
//!
//! ```text
//! Closed(n) --failure, n < max-1--> Closed(n+1)     Closed(max-1) --failure------> Open(now + pause)
//! Closed    --success------------> Closed(0)        Open --call, now >= until----> HalfOpen: one probe
//! HalfOpen  --probe succeeds-----> Closed(0)        HalfOpen --probe fails-------> Open(now + pause)
//! HalfOpen  --call, the probe is lost--> HalfOpen: another probe
//! ```
//!
//! The outcome of a call counts only in the state in which the call began: one that was under way when the breaker opened
//! neither closes it nor opens it again.
//!
//! Source: M. Nygard, Release It!, "Circuit Breaker".

use std::time::Duration;

use crate::time::UnixMs;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRule {
    /// Consecutive failures that open it. At least 1.
    pub failures_max: u32,
    /// How long it stays open.
    pub pause: Duration,
    /// A probe that has told nothing after this long is lost.
    pub probe: Duration,
}

/// What a breaker is, as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// Every call is made.
    Closed,
    /// No call is made.
    Open,
    /// One call is under way, to see whether the others may follow.
    HalfOpen,
}

impl Circuit {
    /// Its name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The calls to one service. The default is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    /// Raised with every change of state: outcomes of calls from before are not listened to.
    round: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: UnixMs },
    HalfOpen { until: UnixMs },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// A call that may be made; its outcome is to be told.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Call {
    round: u64,
}

/// The breaker is open: the call must not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub struct Tripped {
    /// How long until another call can be tried.
    pub retry_after: Duration,
}

impl Breaker {
    /// Begins a call.
    ///
    /// # Errors
    /// [`Tripped`] while the breaker is open, and while another call probes.
    pub fn begin(&mut self, rule: BreakerRule, now: UnixMs) -> Result<Call, Tripped> {
        match self.state {
            State::Closed { .. } => {}
            State::Open { until } | State::HalfOpen { until } if now < until => {
                return Err(Tripped { retry_after: until.since(now) });
            }
            State::Open { .. } | State::HalfOpen { .. } => self.turn(State::HalfOpen { until: now.plus(rule.probe) }),
        }
        Ok(Call { round: self.round })
    }

    /// A call came to its end.
    pub fn succeeded(&mut self, call: &Call) {
        if call.round != self.round {
            return;
        }
        match self.state {
            State::Closed { .. } => self.state = State::default(),
            State::Open { .. } | State::HalfOpen { .. } => self.turn(State::default()),
        }
    }

    /// A call failed, or took too long.
    pub fn failed(&mut self, call: &Call, rule: BreakerRule, now: UnixMs) {
        if call.round != self.round {
            return;
        }
        match self.state {
            State::Closed { failures } if failures + 1 < rule.failures_max => {
                self.state = State::Closed { failures: failures + 1 };
            }
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => {
                self.turn(State::Open { until: now.plus(rule.pause) });
            }
        }
    }

    /// What it is.
    #[must_use]
    pub const fn circuit(&self) -> Circuit {
        match self.state {
            State::Closed { .. } => Circuit::Closed,
            State::Open { .. } => Circuit::Open,
            State::HalfOpen { .. } => Circuit::HalfOpen,
        }
    }

    const fn turn(&mut self, state: State) {
        self.state = state;
        self.round += 1;
    }
}

#[cfg(test)]
mod tests;
