//! The one place that reads clocks and the operating system's randomness.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use freehold_actors::ambient::Ambient;
use freehold_domain::time::UnixMs;

/// The real clocks and the real randomness.
pub const AMBIENT: Ambient = Ambient { now, wall, fill };

/// Where the process clock was anchored: wall time, and the monotonic time that belongs to it.
static ANCHOR: LazyLock<(UnixMs, Instant)> = LazyLock::new(|| (wall(), monotonic()));

#[expect(clippy::disallowed_methods, reason = "this is where the system clock is read")]
fn wall() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    UnixMs::new(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn monotonic() -> Instant {
    Instant::now()
}

fn now() -> UnixMs {
    let (wall, anchor) = *ANCHOR;
    wall.plus(anchor.elapsed())
}

/// Fills `bytes` from the operating system.
///
/// # Panics
/// When the operating system has no randomness: nothing secret can be made without it.
#[expect(clippy::disallowed_methods, reason = "this is where the system's randomness is read")]
fn fill(bytes: &mut [u8]) {
    #[expect(clippy::expect_used, reason = "without randomness no answer is safe; the caller's request fails closed")]
    getrandom::fill(bytes).expect("the operating system gives randomness");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_clock_follows_the_wall_clock_and_never_steps_back() {
        let first = AMBIENT.now();
        assert!(AMBIENT.wall().since(first) < Duration::from_secs(5));
        assert!((0..1_000).map(|_| AMBIENT.now()).is_sorted());
    }

    #[test]
    fn randomness_does_not_repeat() {
        assert_ne!(AMBIENT.random::<32>(), AMBIENT.random::<32>());
    }
}
