//! One connection between a device and the hub: in order, uncorrupted (TLS), but late, stalled, slow, broken or broken
//! at one end only.

use std::collections::VecDeque;

use bytes::Bytes;
use lockstep_protocol::id::Lsn;

use crate::rng::Rng;

/// How good connections are in a seed. Times are microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quality {
    /// Shortest delay of a frame.
    pub latency_us_min: u64,
    /// Longest delay of a frame.
    pub latency_us_max: u64,
    /// Microseconds that a byte takes to leave the hub.
    pub us_a_byte: u64,
    /// Longest time until an end learns that the connection broke.
    pub notice_us_max: u64,
}

/// Frames on their way in one direction.
#[derive(Debug, Default)]
pub struct Pipe {
    frames: VecDeque<Bytes>,
    last_us: u64,
    stalled_until_us: u64,
}

impl Pipe {
    /// Puts a frame on its way; answers when it arrives.
    fn put(&mut self, frame: Bytes, arrives_us: u64) -> u64 {
        self.last_us = self.last_us.max(arrives_us).max(self.stalled_until_us);
        self.frames.push_back(frame);
        self.last_us
    }

    /// Whether nothing is on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Takes the next frame off; or answers when to look again, while nothing moves.
    ///
    /// # Errors
    /// The time at which it moves again.
    pub fn take(&mut self, now_us: u64) -> Result<Option<Bytes>, u64> {
        if now_us < self.stalled_until_us { Err(self.stalled_until_us) } else { Ok(self.frames.pop_front()) }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    /// Whose, as an index into the world's devices.
    pub device: usize,
    /// Frames to the hub.
    pub up: Pipe,
    /// Frames to the device.
    pub down: Pipe,
    /// The hub believes in it.
    pub hub_open: bool,
    /// The device believes in it.
    pub device_open: bool,
    /// Nothing travels any more.
    pub broken: bool,
    /// Bytes handed over by the hub that have not left.
    pub unsent_bytes: usize,
    leaves_us: u64,
    /// How far the hub has told it of the log.
    pub told: Option<Lsn>,
    /// Slows the hub's sending down by this factor.
    pub slowness: u64,
}

impl Link {
    /// A fresh connection.
    #[must_use]
    pub fn new(device: usize) -> Self {
        Self {
            device,
            up: Pipe::default(),
            down: Pipe::default(),
            hub_open: true,
            device_open: true,
            broken: false,
            unsent_bytes: 0,
            leaves_us: 0,
            told: None,
            slowness: 1,
        }
    }

    /// The device sends; answers when the frame arrives.
    pub fn send_up(&mut self, now_us: u64, frame: Bytes, quality: &Quality, rng: &mut Rng) -> u64 {
        let arrives_us = now_us + rng.skewed(quality.latency_us_min, quality.latency_us_max);
        self.up.put(frame, arrives_us)
    }

    /// The hub sends; answers when the frame has left it and when it arrives.
    pub fn send_down(&mut self, now_us: u64, frame: Bytes, quality: &Quality, rng: &mut Rng) -> (u64, u64) {
        let takes_us = frame.len() as u64 * quality.us_a_byte * self.slowness;
        self.unsent_bytes += frame.len();
        self.leaves_us = self.leaves_us.max(now_us).max(self.down.stalled_until_us) + takes_us;
        let arrives_us = self.leaves_us + rng.skewed(quality.latency_us_min, quality.latency_us_max);
        (self.leaves_us, self.down.put(frame, arrives_us))
    }

    /// Nothing moves in a direction for a while.
    pub fn stall(&mut self, down: bool, until_us: u64) {
        let pipe = if down { &mut self.down } else { &mut self.up };
        pipe.stalled_until_us = pipe.stalled_until_us.max(until_us);
    }

    /// When the hub's sending moves again, if it is stalled.
    #[must_use]
    pub fn stalled_down_until(&self, now_us: u64) -> Option<u64> {
        (now_us < self.down.stalled_until_us).then_some(self.down.stalled_until_us)
    }

    /// All faults of this connection end.
    pub fn heal(&mut self) {
        self.slowness = 1;
        self.up.stalled_until_us = 0;
        self.down.stalled_until_us = 0;
    }
}
