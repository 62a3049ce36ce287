//! The three things a rule never reads by itself: two clocks and randomness. The binary supplies them.

use freehold_domain::time::UnixMs;

/// Clocks and randomness, as plain functions so that a test can supply its own.
#[derive(Clone, Copy, Debug)]
pub struct Ambient {
    /// The process clock: wall time at start plus monotonic time. Never steps; rules of limits, locks and holds use it.
    pub now: fn() -> UnixMs,
    /// The wall clock, for tokens.
    pub wall: fn() -> UnixMs,
    /// Fills with random bytes of the operating system.
    pub fill: fn(&mut [u8]),
}

impl Ambient {
    /// The process clock's time.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        #[cfg(feature = "test-faults")]
        return (self.now)().plus(crate::fault::ahead());
        #[cfg(not(feature = "test-faults"))]
        (self.now)()
    }

    /// The wall clock's time.
    #[must_use]
    pub fn wall(&self) -> UnixMs {
        (self.wall)()
    }

    /// `N` random bytes.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.fill)(&mut bytes);
        bytes
    }
}
