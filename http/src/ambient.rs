//! Time and randomness, handed in: only the server's `src/` may read the clock or the system's generator.

use freehold_domain::time::UnixMs;

/// Where this crate takes the time and random bytes from.
#[derive(Clone, Copy, Debug)]
pub struct Ambient {
    /// The current wall time.
    pub now: fn() -> UnixMs,
    /// Fills the whole slice from the system's cryptographic generator.
    pub fill: fn(&mut [u8]),
}

impl Ambient {
    /// `N` fresh random bytes.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.fill)(&mut bytes);
        bytes
    }
}
