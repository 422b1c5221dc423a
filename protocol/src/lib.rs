//! Lockstep's words on the wire, shared by the hub and every device.
//!
//! What a device writes is a [`Fact`](fact::Fact). A fact and its place in its author's chain determine, byte for
//! byte, one Automerge change ([`change`]). The hub judges facts, puts them into one log as [`Entry`](entry::Entry)s
//! and sends these to the other devices; nobody ever parses Automerge bytes from a peer. Frames ([`frame`]) are CBOR
//! with integer-indexed fields ([`codec`]). `PROTOCOL.md` beside this crate is the normative text; `vectors/` holds
//! golden vectors for other languages.
//!
//! Invariants of this crate: no input or output, no clock, no randomness, no unordered map; decoding never panics and
//! never allocates more than a small multiple of its input. Only [`document`] (feature `documents`) knows Automerge.

pub mod auth;
pub mod change;
pub mod clock;
pub mod codec;
pub mod content;
pub mod cursor;
pub mod directory;
#[cfg(feature = "documents")]
pub mod document;
pub mod entry;
pub mod fact;
pub mod frame;
pub mod genesis;
pub mod id;
pub mod import;
pub mod keep;
pub mod limits;
pub mod link;
pub mod refusal;
pub mod snapshot;
