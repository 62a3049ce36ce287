//! When a failed actor starts again, and when its tenant is taken out of service instead.
//!
//! ```text
//! failure 1: at once    failure 2: after 100 ms    failure 3: after 1 s    a fourth within 60 s: quarantine
//! quarantine: 30 s, then one trial; a failure during the trial doubles it, up to 15 min
//! ```
//!
//! Source: the restart intensity of OTP supervisors, with a delay before each further start.

use std::time::Duration;

use crate::time::UnixMs;

/// Failures further apart than this do not count together.
pub const WINDOW: Duration = Duration::from_mins(1);
/// The longest quarantine.
pub const QUARANTINE_MAX: Duration = Duration::from_mins(15);

const DELAYS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(100), Duration::from_secs(1)];

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start the actor again after this long.
    RestartAfter(Duration),
    /// More than three failures within [`WINDOW`]: stop the whole tenant.
    Quarantine,
}

/// The recent failures of one tenant's actors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    recent: [Option<UnixMs>; DELAYS.len()],
}

impl Restarts {
    /// Notes a failure at `now` and decides what follows.
    #[must_use]
    pub fn failed(&mut self, now: UnixMs) -> Verdict {
        for seen in &mut self.recent {
            if seen.is_some_and(|at| now.since(at) >= WINDOW) {
                *seen = None;
            }
        }
        let before = self.recent.iter().flatten().count();
        let Some(delay) = DELAYS.get(before) else { return Verdict::Quarantine };
        if let Some(free) = self.recent.iter_mut().find(|seen| seen.is_none()) {
            *free = Some(now);
        }
        Verdict::RestartAfter(*delay)
    }

    /// Whether no failure counts any more at `now`.
    #[must_use]
    pub fn is_quiet(&self, now: UnixMs) -> bool {
        self.recent.iter().flatten().all(|at| now.since(*at) >= WINDOW)
    }
}

/// A tenant that failed too often and is not served until `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// When the trial may begin.
    pub until: UnixMs,
    length: Duration,
}

impl Quarantine {
    /// The quarantine that begins at `now`: `base` long, or twice as long as the `last` one when the tenant failed
    /// again before having run well for as long as that lasted.
    #[must_use]
    pub fn begin(last: Option<Self>, base: Duration, now: UnixMs) -> Self {
        let length = match last {
            Some(last) if !last.is_forgotten(now) => (last.length * 2).min(QUARANTINE_MAX.max(base)),
            _ => base,
        };
        Self { until: now.plus(length), length }
    }

    /// Whether it has no bearing on the next one any more: the tenant ran well for as long as it lasted.
    #[must_use]
    pub fn is_forgotten(&self, now: UnixMs) -> bool {
        now >= self.until.plus(self.length)
    }

    /// How long the tenant still waits for its trial; `None` when it may begin.
    #[must_use]
    pub fn remaining(&self, now: UnixMs) -> Option<Duration> {
        (now < self.until).then(|| self.until.since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMs = UnixMs::new(1_700_000_000_000);
    const BASE: Duration = Duration::from_secs(30);

    fn at(s: u64) -> UnixMs {
        T0.plus(Duration::from_secs(s))
    }

    #[test]
    fn three_restarts_then_quarantine() {
        let mut restarts = Restarts::default();
        let verdicts: Vec<_> = (0..4).map(|s| restarts.failed(at(s))).collect();
        let expected = DELAYS.map(Verdict::RestartAfter).into_iter().chain([Verdict::Quarantine]).collect::<Vec<_>>();
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut restarts = Restarts::default();
        for minute in 0..10 {
            assert_eq!(restarts.failed(at(minute * 60)), Verdict::RestartAfter(Duration::ZERO));
        }
        assert_eq!(restarts.failed(at(541)), Verdict::RestartAfter(DELAYS[1]));
    }

    #[test]
    fn quarantine_doubles_while_the_trials_fail_and_starts_over_after_a_good_run() {
        let first = Quarantine::begin(None, BASE, T0);
        assert_eq!(first.remaining(T0), Some(BASE));
        assert_eq!(first.remaining(at(30)), None);
        let mut last = first;
        for expected in [60, 120, 240, 480, 900, 900] {
            let next = Quarantine::begin(Some(last), BASE, last.until);
            assert_eq!(next.until.since(last.until), Duration::from_secs(expected));
            last = next;
        }
        let later = last.until.plus(QUARANTINE_MAX);
        assert_eq!(Quarantine::begin(Some(last), BASE, later).until, later.plus(BASE));
    }
}
