//! Rows that the core asks for: questions and their answers.

use lockstep_protocol::id::DocumentId;

use crate::row::{EventRow, FactRow};

/// A question to the store. It sees durable state only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Query {
    /// Every fact and event of one document. Answer: [`Answer::Document`].
    Document(DocumentId),
}

/// The store's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To [`Query::Document`].
    Document {
        /// Stamped facts, in order of (actor, seq).
        facts: Vec<FactRow>,
        /// Resolutions and deliveries.
        events: Vec<EventRow>,
    },
}

/// Why rows could not be read. The device asks again after a while; after a few failures it deletes the document and
/// fetches it from the hub.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoadFailure;
