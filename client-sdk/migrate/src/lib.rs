//! Chat exports into facts of Lockstep: what was said before, kept for the team.
//!
//! Three steps, each a plain function of its input. [`source`] opens a file, bounded and read-only. [`whatsapp`] reads
//! its text into [`record`]s; every line is counted in a [`ledger`]. [`plan`] turns records into the facts that the hub
//! takes, with ids that come out equal for equal messages, whatever file they came in. [`inspect`] tells a person what
//! an import would do, before it does it.
//!
//! Invariants: parsers and plan have no clock, no randomness and no unordered map; the source is never written; a line
//! is counted exactly once; no error or reject holds a name or a text of the chat.

mod glyph;
pub mod inspect;
pub mod ledger;
mod media;
pub mod plan;
pub mod record;
pub mod source;
pub mod whatsapp;

/// The bundled export of a trading firm's chat with a customer, in the form of Android phones.
pub const SAMPLE: &str = include_str!("../samples/WhatsApp Chat with Hotel Baan Suan.txt");
/// The file name of [`SAMPLE`]: the customer's name is in it.
pub const SAMPLE_NAME: &str = "WhatsApp Chat with Hotel Baan Suan.txt";
