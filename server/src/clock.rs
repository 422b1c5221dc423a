//! The one place where the hub's process reads the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lockstep_core::input::Now;

/// Wall time and monotonic time, as the core takes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Begins to count monotonic milliseconds.
    #[must_use]
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Now. A wall clock before 1970 reads as 1970.
    #[must_use]
    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { wall_ms: millis(wall), mono_ms: millis(self.start.elapsed()) }
    }

    /// The moment of a monotonic time of this clock.
    #[must_use]
    pub(crate) fn instant(&self, mono_ms: u64) -> Instant {
        self.start + std::time::Duration::from_millis(mono_ms)
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
