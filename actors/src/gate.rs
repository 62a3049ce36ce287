//! Bounded admission: how many requests of one tenant, and of the node, may be in flight at once.
//!
//! ractor's mailboxes are unbounded; the gate stands before them, so no queue behind it can grow past its size.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_domain::gcra::Subject;
use freehold_domain::weight::Weight;

/// Requests of one tenant in flight at once, for each of its weight: see [`tenant_max`].
pub const TENANT_MAX: u32 = 256;
/// Requests of one tenant with a large body in flight at once: who is slow to send one keeps a place meanwhile, and most
/// places are not theirs.
pub const LARGE_MAX: u32 = 32;
/// How many of these one address can have: whoever is slow from one place leaves most of them to others.
pub const LARGE_OF_ONE_MAX: u32 = 8;
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
    pub(crate) _large: Option<LargePass>,
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

/// A counted door that counts by address, too.
#[derive(Debug, Default)]
pub struct LargeGate(Mutex<BTreeMap<Subject, u32>>);

/// One place behind it, given back when dropped.
#[derive(Debug)]
pub struct LargePass {
    gate: Arc<LargeGate>,
    address: Subject,
}

impl LargeGate {
    /// Takes one of [`LARGE_MAX`] places for this address, which can have [`LARGE_OF_ONE_MAX`].
    ///
    /// # Errors
    /// [`Full`] when all are taken, or it has as many as it can.
    pub fn enter(self: &Arc<Self>, address: Subject) -> Result<LargePass, Full> {
        let mut holders = self.holders();
        let (all, own) = (holders.values().sum::<u32>(), holders.get(&address).copied().unwrap_or_default());
        if all >= LARGE_MAX || own >= LARGE_OF_ONE_MAX {
            return Err(Full);
        }
        holders.insert(address, own + 1);
        Ok(LargePass { gate: Arc::clone(self), address })
    }

    /// Whoever holds some, and how many: at most as many as there are places.
    fn holders(&self) -> MutexGuard<'_, BTreeMap<Subject, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LargePass {
    fn drop(&mut self) {
        let mut holders = self.gate.holders();
        let left = holders.remove(&self.address).unwrap_or_default().saturating_sub(1);
        if left > 0 {
            holders.insert(self.address, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_a_part_of_the_places_for_large_bodies() {
        let gate = Arc::new(LargeGate::default());
        let take = |address: u128| std::iter::from_fn(|| gate.enter(Subject(address)).ok()).collect::<Vec<_>>();
        let mut of: Vec<_> = (1..=5).map(take).collect();
        assert_eq!(of.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 8, 8, 0]);
        of[0].pop();
        for address in [1, 6] {
            assert_eq!(take(address).len(), 1, "what is dropped is given back");
        }
        of.clear();
        assert!(gate.holders().is_empty());
    }

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
