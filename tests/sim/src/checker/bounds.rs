//! Bounded memory.

use super::Violation;

/// What was seen of sizes.
#[derive(Debug, Default)]
pub struct Bounds {
    /// The largest frame that left the hub, bytes.
    pub frame_bytes: usize,
}

impl Bounds {
    /// Log is sent to a session only while what waits there is within its queue, a page and a snapshot under way apart.
    ///
    /// # Errors
    /// It is not.
    pub fn queued(&self, unsent_bytes: usize, bytes_max: usize) -> Result<(), Violation> {
        if unsent_bytes <= bytes_max + 2 * self.frame_bytes {
            return Ok(());
        }
        Violation::fail("bounded", format!("entries are sent behind {unsent_bytes} unsent bytes of {bytes_max}"))
    }
}
