//! How many connections one address may have: so that one cannot take the places of all. IPv6 counts by /64.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client_address::AddressKey;

/// The open connections by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd(Arc<Mutex<HashMap<AddressKey, usize>>>);

/// A connection's place among those of its address, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    key: AddressKey,
}

impl Crowd {
    /// A place for a connection from this address; `None` when it has `max` already.
    pub(super) fn enter(&self, address: IpAddr, max: usize) -> Option<Place> {
        let key = AddressKey::of(address);
        let mut counts = self.counts();
        let count = counts.entry(key).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Place { crowd: self.clone(), key })
    }

    /// A step changes one number: what a panic leaves behind is whole.
    fn counts(&self) -> MutexGuard<'_, HashMap<AddressKey, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.counts();
        if let Some(count) = counts.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_no_memory_of_those_it_left() {
        let crowd = Crowd::default();
        let enter = |address: &str| crowd.enter(address.parse().expect("an address"), 2);
        let (one, two) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(one.is_some() && two.is_some() && enter("192.0.2.1").is_none());
        let others = [enter("192.0.2.2"), enter("2001:db8::1"), enter("2001:db8::2")];
        assert!(others.iter().all(Option::is_some) && enter("2001:db8::3").is_none(), "by /64");
        drop(one);
        let again = enter("192.0.2.1");
        assert!(again.is_some());
        drop((again, two, others));
        assert!(crowd.counts().is_empty());
    }
}
