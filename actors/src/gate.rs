//! Bounded admission: how many requests of one tenant, and of the node, may be in flight at once.
//!
//! ractor's mailboxes are unbounded; the gate stands before them, so no queue behind it can grow past its size.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use freehold_domain::weight::Weight;

/// Requests of one tenant in flight at once, for each of its weight: see [`tenant_max`].
pub const TENANT_MAX: u32 = 256;
/// Requests of one tenant with a large body in flight at once: who is slow to send one keeps a place meanwhile, and most
/// places are not theirs.
pub const LARGE_MAX: u32 = 32;
/// Requests of the whole node in flight at once.
pub const NODE_MAX: u32 = 8_192;
/// Small bodies that are being sent to the whole node at once.
pub const SENDING_MAX: u32 = 8_192;

/// Calls to services outside that one tenant's requests make at once.
pub const OUTBOUND_MAX: u32 = 16;
/// A look for the proof of a custom domain is made while fewer calls than this are: half of the looks that a node makes at
/// once.
pub const LOOKS_MAX: u32 = 4;

/// How many requests of a tenant of this weight may be in flight at once: never more than half of the node's.
#[must_use]
pub const fn tenant_max(weight: Weight) -> u32 {
    TENANT_MAX * weight.get()
}

const _: () = assert!(tenant_max(Weight::MAX) <= NODE_MAX / 2, "one tenant has half of the places at most");

/// A counted door.
#[derive(Debug, Default)]
pub struct Gate(AtomicU32);

/// One place behind a gate, given back when dropped.
#[derive(Debug)]
pub struct Pass(Arc<Gate>);

/// The places of one request, given back when dropped.
#[derive(Debug)]
pub struct Places {
    pub(crate) _node: Pass,
    pub(crate) _tenant: Pass,
    pub(crate) _large: Option<Pass>,
}

/// All places are taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests in flight")]
pub struct Full;

impl Gate {
    /// Takes one of `max` places.
    ///
    /// # Errors
    /// [`Full`] when all are taken.
    pub fn enter(self: &Arc<Self>, max: u32) -> Result<Pass, Full> {
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < max).then_some(n + 1));
        taken.map(|_| Pass(Arc::clone(self))).map_err(|_| Full)
    }

    /// How many places are taken.
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_once_and_given_back() {
        let gate = Arc::new(Gate::default());
        let (one, two) = (gate.enter(2).unwrap(), gate.enter(2).unwrap());
        assert_eq!(gate.enter(2).unwrap_err(), Full);
        drop(one);
        assert_eq!(gate.taken(), 1);
        let _three = gate.enter(2).unwrap();
        drop(two);
        assert_eq!(gate.taken(), 1);
    }
}
