//! As of when something is known. Versions are in one order for all, so what is kept is the greatest that was ever told: a join,
//! which neither order nor repetition changes.

use crate::time::UnixMs;

/// A version of what an event tells. The fields are compared in their order.
///
/// Stripe counts in seconds: of two changes within one second that are of the same kind, the greater id is believed. Which of
/// them came last nobody can say; all nodes say the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Whether it has ended. What has ended never comes back, however late an event of before is signed.
    pub ended: bool,
    /// When it happened, to the second.
    pub at: UnixMs,
    /// Which kind of event is believed within one second: created, changed, paused or resumed, deleted.
    pub rank: i64,
    /// The id of the event.
    pub event_id: String,
}

impl Version {
    /// Whether what is of this version takes the place of what is of the `stored` one.
    #[must_use]
    pub fn replaces(&self, stored: &Self) -> bool {
        self > stored
    }
}
