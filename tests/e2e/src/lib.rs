//! What end to end tests are made of: the real program in its own process, real folders, real devices.
//!
//! Hubs listen on a free port of 127.0.0.1 and end with their handle. Nothing here sleeps "long enough": it waits for a
//! line of the log, an exit, or an event of a device, each for a bounded time.

mod process;
pub mod raw;
mod script;
pub mod traces;

pub use process::{Hub, PATIENCE, Stopped, lockstep, program};
pub use script::{Team, is_sent, within};
