//! The hybrid logical clock that stamps ULIDs: wall time, corrected by the hub's, never going back, always after what
//! was seen.

use crate::limits::CLOCK_PUSH_MS_MAX;

/// A device's hybrid logical clock. All times are milliseconds since 1970; `wall_ms` is the device's own clock.
///
/// The logical part is folded into the milliseconds: each [`tick`](Clock::tick) lies at least one millisecond after
/// everything issued or received before, so ids sort in causal order. DESIGN sections 3 and 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    last_ms: u64,
    offset_ms: i64,
}

impl Clock {
    /// A clock that continues after `last_ms`, the newest time that the device issued or saw.
    #[must_use]
    pub const fn resume(last_ms: u64) -> Self {
        Self { last_ms, offset_ms: 0 }
    }

    /// The newest time issued or received.
    #[must_use]
    pub const fn last_ms(&self) -> u64 {
        self.last_ms
    }

    /// The next time to issue.
    pub fn tick(&mut self, wall_ms: u64) -> u64 {
        self.last_ms = self.corrected(wall_ms).max(self.last_ms + 1);
        self.last_ms
    }

    /// Takes note of a received time. It pushes this clock at most [`CLOCK_PUSH_MS_MAX`] ahead of its own wall time,
    /// so one device with a wrong clock cannot drag the others beyond what the hub accepts.
    pub fn receive(&mut self, wall_ms: u64, time_ms: u64) {
        let bound = self.corrected(wall_ms).saturating_add(CLOCK_PUSH_MS_MAX);
        self.last_ms = self.last_ms.max(time_ms.min(bound));
    }

    /// Sets the offset to the hub's time (Welcome carries it).
    pub fn correct(&mut self, wall_ms: u64, hub_ms: u64) {
        self.offset_ms = hub_ms.cast_signed().wrapping_sub(wall_ms.cast_signed());
    }

    /// After `ClockAhead`: follows the hub's time even if that means going back behind ids that it refused.
    pub fn rewind(&mut self, wall_ms: u64, hub_ms: u64) {
        self.correct(wall_ms, hub_ms);
        self.last_ms = self.last_ms.min(hub_ms);
    }

    fn corrected(&self, wall_ms: u64) -> u64 {
        wall_ms.saturating_add_signed(self.offset_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_grow_whatever_the_wall_clock_does() {
        let mut clock = Clock::default();
        let times: Vec<u64> = [1000, 1000, 400, 1001, 2000].map(|wall| clock.tick(wall)).to_vec();
        assert_eq!(times, [1000, 1001, 1002, 1003, 2000]);
    }

    #[test]
    fn a_received_time_pushes_at_most_a_minute() {
        let mut clock = Clock::default();
        clock.receive(10_000, 20_000);
        assert_eq!(clock.tick(10_000), 20_001);
        clock.receive(10_000, u64::MAX);
        assert_eq!(clock.tick(10_000), 10_000 + CLOCK_PUSH_MS_MAX + 1);
    }

    #[test]
    fn the_hub_corrects_and_rewinds() {
        let mut clock = Clock::default();
        assert_eq!(clock.tick(900_000), 900_000);
        clock.correct(900_000, 1_000);
        assert_eq!(clock.tick(900_000), 900_001, "correcting never goes back");
        clock.rewind(900_000, 1_000);
        assert_eq!(clock.tick(900_000), 1_001);
    }
}
