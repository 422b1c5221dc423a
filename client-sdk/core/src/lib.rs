//! One Lockstep device as a pure state machine.
//!
//! The driver owns one [`Device`](device::Device), tells it what happened ([`Input`](input::Input)) at what time
//! ([`Now`](input::Now)), and carries out what it wants ([`Effect`](effect::Effect)) in order:
//!
//! ```text
//! Acted ─▶ fact, its change ─▶ Persist(outbox) ─▶ Persisted ─▶ Send(Push) ─▶ Ack ─▶ Persist(stamped fact)
//! Entries ─▶ (rows missing: Load … Loaded) ─▶ Persist(facts, grants, revocations and cursor, in one) ─▶ View
//! Snapshot ─▶ Apply ─▶ Applied ─▶ Persist(the document anew, backfill one step on)
//! ```
//!
//! Invariants: no socket, disk, clock, randomness, thread or unordered map in here; Automerge's code runs only behind
//! [`Effect::Apply`](effect::Effect::Apply). What is told to the hub is durable first. The cursor moves only in the
//! transaction that holds everything up to it. Whatever is not durable can be lost at any moment without harm.

mod act;
mod backfill;
mod backoff;
mod catalogue;
pub mod device;
pub mod effect;
mod entries;
mod imported;
pub mod input;
mod job;
mod lease;
pub mod message;
mod offer;
mod outbox;
pub mod planted;
mod push;
pub mod query;
mod random;
pub mod replica;
mod rewrite;
pub mod row;
mod screen;
mod session;
pub mod store;
mod transaction;
pub mod view;
