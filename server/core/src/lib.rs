//! Lockstep's hub as a pure state machine.
//!
//! The driver owns one [`Hub`](hub::Hub), tells it what happened ([`Input`](input::Input)) at what time
//! ([`Now`](input::Now)), and carries out what it wants ([`Effect`](effect::Effect)) in order:
//!
//! ```text
//! frame ─▶ FrameReceived ─▶ checks ─▶ Commit(batch) ─▶ one fsync ─▶ Committed ─▶ Ack to the author, Entries to others
//!                             │ a row is missing
//!                             └▶ Load(query) … Loaded ─▶ checks (pushes of that conversation wait, in order)
//! ```
//!
//! Invariants: no socket, disk, clock, randomness, thread or unordered map in here. Nothing is acknowledged or shown to
//! anyone before [`Committed`](input::Input::Committed). No document is loaded between a writer's frame and the other
//! devices' sockets. Whoever asks who may see what asks one function, in `access`.

mod access;
pub mod audit;
mod catchup;
mod commands;
mod compaction;
mod conversation;
pub mod effect;
mod expiry;
mod fanout;
mod handshake;
pub mod hub;
mod imports;
pub mod input;
mod last_seen;
mod lock;
mod log;
mod memory;
pub mod planted;
mod push;
pub mod query;
mod readmission;
mod replies;
pub mod row;
pub mod scan;
pub mod sensitive;
mod session;
mod shred;
mod work;
