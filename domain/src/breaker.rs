//! A circuit breaker: whoever fails again and again is left alone for a while, and then asked by a few whether it is well.
//!
//! ```text
//! Closed   --failure, neither too many in a row nor too large a share--> Closed
//! Closed   --failure, too many or too large a share--> Open(now + pause)
//! Open     --call, now >= until--> HalfOpen, and the call is its first probe
//! HalfOpen --call, fewer than `probes` begun--> another probe
//! HalfOpen --every probe succeeded--> Closed
//! HalfOpen --a probe failed--> Open(now + 2 * pause)
//! HalfOpen --call, probes are lost--> HalfOpen anew
//! any      --by hand--> Open without an end, or Closed
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
    /// Failures in a hundred calls that open it, once `calls_min` came to an end within `window`; more than a hundred never do.
    pub percent_max: u32,
    /// How many calls must have come to an end for their share of failures to mean anything.
    pub calls_min: u32,
    /// How long a call is remembered for that; between one half of this and the whole.
    pub window: Duration,
    /// How long it stays open. It doubles with every probe that fails.
    pub pause: Duration,
    /// And how long at most, whatever the other side asks for.
    pub pause_max: Duration,
    /// How many calls are let through when the pause is over; all of them must succeed. At least 1.
    pub probes: u32,
    /// A probe that has told nothing after this long is lost.
    pub probe: Duration,
}

impl BreakerRule {
    /// What is usual: five failures in a row or half of at least twenty calls in a minute, half a minute to ten, one probe.
    pub const USUAL: Self = Self {
        failures_max: 5,
        percent_max: 50,
        calls_min: 20,
        window: Duration::from_mins(1),
        pause: Duration::from_secs(30),
        pause_max: Duration::from_mins(10),
        probes: 1,
        probe: Duration::from_secs(30),
    };
}

/// What a breaker is, as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// Every call is made.
    Closed,
    /// No call is made.
    Open,
    /// A few calls are under way, to see whether the others may follow.
    HalfOpen,
}

impl Circuit {
    /// Its name in metrics, rows and logs.
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
    /// How often it opened since it was last closed.
    openings: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Closed {
        in_a_row: u32,
        recent: Recent,
    },
    /// `probes` where their number is another than the rule's.
    Open {
        until: UnixMs,
        probes: Option<u32>,
    },
    HalfOpen {
        until: UnixMs,
        begun: u32,
        well: u32,
        wanted: u32,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { in_a_row: 0, recent: Recent::default() }
    }
}

/// Calls of this half of the window and of the one before it: ended, and failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Recent {
    began: UnixMs,
    now: (u32, u32),
    before: (u32, u32),
}

/// A call that may be made; its outcome is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Call {
    round: u64,
}

/// Why a call failed, and what belongs to that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// How long the other side asks to be left alone (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// Random: spreads the ends of pauses over a fifth more, so that not everybody comes back at once.
    pub spread: u8,
}

/// The breaker is open: the call must not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub struct Tripped {
    /// How long until another call can be tried.
    pub retry_after: Duration,
}

/// What of a breaker outlives its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Until when it is open; [`UnixMs::MAX`] for one that was opened by hand.
    pub until: UnixMs,
    /// How often it opened since it was last closed.
    pub openings: u32,
}

impl Breaker {
    /// One that was open or half open, restored at `now`: when its pause is over one probe decides, whatever the rule has, and
    /// no call of before counts.
    #[must_use]
    pub fn restored(remembered: Remembered, now: UnixMs) -> Self {
        let Remembered { until, openings } = remembered;
        Self { state: State::Open { until, probes: Some(1) }, round: now.get().unsigned_abs() << 16, openings }
    }

    /// What is to be remembered of it; `None` while it is closed.
    #[must_use]
    pub const fn remembered(&self) -> Option<Remembered> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until, .. } | State::HalfOpen { until, .. } => {
                Some(Remembered { until, openings: self.openings })
            }
        }
    }

    /// Begins a call.
    ///
    /// # Errors
    /// [`Tripped`] while the breaker is open, and while as many probe as may.
    pub fn begin(&mut self, rule: BreakerRule, now: UnixMs) -> Result<Call, Tripped> {
        let wanted = match &mut self.state {
            State::Closed { .. } => return Ok(Call { round: self.round }),
            State::HalfOpen { begun, wanted, until, .. } if now < *until && *begun < *wanted => {
                *begun += 1;
                return Ok(Call { round: self.round });
            }
            State::Open { until, .. } | State::HalfOpen { until, .. } if now < *until => {
                return Err(Tripped { retry_after: until.since(now) });
            }
            State::Open { probes, .. } => probes.unwrap_or(rule.probes),
            State::HalfOpen { .. } => rule.probes,
        };
        self.turn(State::HalfOpen { until: now.plus(rule.probe), begun: 1, well: 0, wanted });
        Ok(Call { round: self.round })
    }

    /// A call came to its end.
    pub fn succeeded(&mut self, call: &Call, rule: BreakerRule, now: UnixMs) {
        if call.round != self.round {
            return;
        }
        match &mut self.state {
            State::Closed { in_a_row, recent } => {
                *in_a_row = 0;
                recent.note(false, rule.window, now);
            }
            State::HalfOpen { well, wanted, .. } if *well + 1 < *wanted => *well += 1,
            State::Open { .. } | State::HalfOpen { .. } => self.reset(),
        }
    }

    /// A call failed, or took too long.
    pub fn failed(&mut self, call: &Call, rule: BreakerRule, failure: Failure, now: UnixMs) {
        if call.round != self.round {
            return;
        }
        if let State::Closed { in_a_row, recent } = &mut self.state {
            *in_a_row += 1;
            recent.note(true, rule.window, now);
            if *in_a_row < rule.failures_max && !recent.is_too_bad(rule) {
                return;
            }
        }
        let doubled = 1_u32.checked_shl(self.openings).unwrap_or(u32::MAX);
        let pause = rule.pause.saturating_mul(doubled).min(rule.pause_max);
        let pause = pause + pause * u32::from(failure.spread) / (5 * u32::from(u8::MAX));
        let asked = failure.retry_after.unwrap_or_default().min(rule.pause_max);
        self.openings = self.openings.saturating_add(1);
        self.turn(State::Open { until: now.plus(pause.max(asked)), probes: None });
    }

    /// Opens it without an end, by hand.
    pub fn hold_open(&mut self) {
        self.turn(State::Open { until: UnixMs::MAX, probes: None });
    }

    /// Closes it, as if nothing had ever failed.
    pub fn reset(&mut self) {
        self.openings = 0;
        self.turn(State::default());
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

    fn turn(&mut self, state: State) {
        self.state = state;
        self.round += 1;
    }
}

impl Recent {
    fn note(&mut self, failed: bool, window: Duration, now: UnixMs) {
        let half = window / 2;
        if now.since(self.began) >= half {
            let is_next = now.since(self.began) < window;
            self.before = if is_next { self.now } else { (0, 0) };
            (self.now, self.began) = ((0, 0), now);
        }
        self.now.0 += 1;
        self.now.1 += u32::from(failed);
    }

    fn is_too_bad(&self, rule: BreakerRule) -> bool {
        let (calls, failures) = (self.now.0 + self.before.0, self.now.1 + self.before.1);
        calls >= rule.calls_min && u64::from(failures) * 100 >= u64::from(rule.percent_max) * u64::from(calls)
    }
}

#[cfg(test)]
mod tests;
