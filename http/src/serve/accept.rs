//! What to do when accepting fails: nothing when the peer is to blame, a growing pause when we are out of descriptors
//! (trying again at once would burn a core and change nothing).

use std::io::{Error, ErrorKind};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(1);

/// The pause after the next failure.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Pause {
    /// How long to wait after this failure; `None` when the connection was gone before it was accepted.
    pub(super) fn after(&mut self, error: &Error) -> Option<Duration> {
        if matches!(
            error.kind(),
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
        ) {
            return None;
        }
        let wait = self.0;
        self.0 = (wait * 2).min(LAST);
        Some(wait)
    }

    /// A connection was accepted.
    pub(super) fn reset(&mut self) {
        self.0 = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second() {
        let mut pause = Pause::default();
        let full = Error::from_raw_os_error(24); // EMFILE
        let waits: Vec<_> = (0..7).filter_map(|_| pause.after(&full)).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(pause.after(&ErrorKind::ConnectionAborted.into()), None);
        pause.reset();
        assert_eq!(pause.after(&full), Some(FIRST));
    }
}
