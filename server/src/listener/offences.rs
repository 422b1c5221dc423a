//! Peers that keep sending what they must not are let in later and later.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Offences are forgotten after so long without another.
const MEMORY: Duration = Duration::from_secs(60);
/// So many are free: an old app or a wrong code typed twice is no attack.
const FREE: u32 = 3;
/// The wait after the first one that is not; doubles with each more.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// Addresses remembered at once; beyond, the oldest is forgotten.
const ADDRESSES_MAX: usize = 4_096;

/// Offences by address.
#[derive(Debug, Default)]
pub(super) struct Offences {
    by_address: BTreeMap<IpAddr, (u32, Instant)>,
}

impl Offences {
    /// How long a connection from here has to wait, if at all.
    pub(super) fn pause(&self, peer: IpAddr) -> Option<Duration> {
        let (count, last) = self.by_address.get(&peer)?;
        let beyond = count.checked_sub(FREE + 1).filter(|_| last.elapsed() < MEMORY)?;
        Some((PAUSE * 2u32.saturating_pow(beyond.min(16))).min(PAUSE_MAX))
    }

    /// One more from here.
    pub(super) fn note(&mut self, peer: IpAddr) {
        self.by_address.retain(|_, (_, last)| last.elapsed() < MEMORY);
        if self.by_address.len() >= ADDRESSES_MAX
            && let Some(oldest) = self.by_address.iter().min_by_key(|(_, (_, last))| *last).map(|(peer, _)| *peer)
        {
            self.by_address.remove(&oldest);
        }
        let (count, last) = self.by_address.entry(peer).or_insert((0, Instant::now()));
        *count += 1;
        *last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_after_a_few_and_stay_bounded() {
        let mut offences = Offences::default();
        let (peer, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut pauses = Vec::new();
        for _ in 0..12 {
            offences.note(peer);
            pauses.push(offences.pause(peer).map_or(0, |pause| pause.as_millis()));
        }
        assert_eq!(pauses, [0, 0, 0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000]);
        assert_eq!(offences.pause(other), None);
        for n in 0..2 * ADDRESSES_MAX as u32 {
            offences.note(IpAddr::from(n.to_be_bytes()));
        }
        assert!(offences.by_address.len() <= ADDRESSES_MAX);
    }
}
