//! Open load: messages leave at fixed times, whatever became of those before, and a message's time runs from when it
//! was to leave.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// So many messages at such a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) messages: usize,
    /// Messages a second.
    pub(crate) rate: u32,
}

impl Load {
    /// When a message is to leave.
    pub(crate) fn due(&self, begin: Instant, number: usize) -> Instant {
        begin + Duration::from_secs_f64(number as f64 / f64::from(self.rate.max(1)))
    }

    /// The number of each message at its time. A thread of its own keeps the time: tokio's timers count milliseconds,
    /// which would be in the figures.
    pub(crate) fn ticks(self, begin: Instant) -> UnboundedReceiver<usize> {
        let (sender, ticks) = unbounded_channel();
        std::thread::spawn(move || {
            for number in 0..self.messages {
                std::thread::sleep(self.due(begin, number).saturating_duration_since(Instant::now()));
                if sender.send(number).is_err() {
                    return;
                }
            }
        });
        ticks
    }

    /// p50 and p99, milliseconds, of the time from when each message was due to when it had `arrived`.
    pub(crate) fn percentiles(&self, begin: Instant, arrived: &[Instant]) -> (f64, f64) {
        let times = arrived.iter().enumerate();
        let mut times: Vec<Duration> =
            times.map(|(number, at)| at.saturating_duration_since(self.due(begin, number))).collect();
        times.sort_unstable();
        let percentile = |percent: usize| {
            let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
            times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
        };
        (percentile(50), percentile(99))
    }
}
