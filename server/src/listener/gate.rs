//! Who waits at the door: connections that have not finished their handshake, counted by address, so that one address
//! cannot keep all others out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections at the door by address.
#[derive(Debug)]
pub(super) struct Gate {
    waiting: Mutex<BTreeMap<IpAddr, usize>>,
    per_address_max: usize,
}

/// One place at the door, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    gate: Arc<Gate>,
    peer: IpAddr,
}

impl Gate {
    pub(super) fn new(per_address_max: usize) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), per_address_max })
    }

    /// A place for one more connection from here, if there is one.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(peer).or_default();
        if *count >= self.per_address_max {
            return None;
        }
        *count += 1;
        Some(Place { gate: Arc::clone(self), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.gate.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_own_bound_and_places_come_back() {
        let gate = Gate::new(2);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = gate.enter(one);
        let second = gate.enter(one);
        assert!(first.is_some() && second.is_some() && gate.enter(one).is_none());
        assert!(gate.enter(other).is_some());
        drop(first);
        assert!(gate.enter(one).is_some());
        drop(second);
        assert!(gate.waiting.lock().unwrap().is_empty());
    }
}
