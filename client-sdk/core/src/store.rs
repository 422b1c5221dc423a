//! A device's rows in memory: the reference for what a store must do with each [`Write`], for tests and simulators.

use std::collections::BTreeMap;

use lockstep_protocol::frame::Team;
use lockstep_protocol::id::{ActorId, ConversationId, DocumentId};

use crate::query::{Answer, Query};
use crate::row::{
    BackfillRow, ConversationRow, DocumentRow, EventKey, EventRow, FactRow, Meta, NotSentRow, OfferKey, OfferRow,
    OutboxRow, ResolveRow, Stored, Write,
};

/// All rows of one device.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rows {
    /// The device's own state.
    pub meta: Meta,
    /// The team.
    pub team: Option<Team>,
    /// Conversations.
    pub conversations: BTreeMap<ConversationId, ConversationRow>,
    /// Documents.
    pub documents: BTreeMap<DocumentId, DocumentRow>,
    /// Stamped facts.
    pub facts: BTreeMap<(DocumentId, ActorId, u32), FactRow>,
    /// Resolutions and deliveries.
    pub events: BTreeMap<(DocumentId, EventKey), EventRow>,
    /// Facts not confirmed.
    pub outbox: BTreeMap<u64, OutboxRow>,
    /// Resolutions not confirmed.
    pub resolves: BTreeMap<u64, ResolveRow>,
    /// Entries to be offered.
    pub offers: BTreeMap<OfferKey, OfferRow>,
    /// Backfills.
    pub backfills: BTreeMap<ConversationId, BackfillRow>,
    /// What could not be sent.
    pub not_sent: BTreeMap<u64, NotSentRow>,
}

impl Rows {
    /// Carries one write out.
    pub fn write(&mut self, write: Write) {
        match write {
            Write::Meta(row) => self.meta = *row,
            Write::Team(row) => self.team = Some(*row),
            Write::Conversation(row) => {
                self.conversations.insert(row.conversation.id, *row);
            }
            Write::Document(row) => {
                self.documents.insert(row.document, *row);
            }
            Write::DocumentGone(document) => {
                self.documents.remove(&document);
                self.facts.retain(|(of, ..), _| *of != document);
                self.events.retain(|(of, _), _| *of != document);
            }
            Write::Fact(row) => {
                self.facts.insert((row.placed.document, row.placed.actor, row.placed.seq), *row);
            }
            Write::Event(row) => {
                if let Some(key) = row.key() {
                    self.events.insert(key, *row);
                }
            }
            Write::Outbox(row) => {
                self.outbox.insert(row.order, *row);
            }
            Write::OutboxGone(order) => {
                self.outbox.remove(&order);
            }
            Write::Resolve(row) => {
                self.resolves.insert(row.order, *row);
            }
            Write::ResolveGone(order) => {
                self.resolves.remove(&order);
            }
            Write::Offer(row) => {
                self.offers.insert(row.key, *row);
            }
            Write::OfferGone(key) => {
                self.offers.remove(&key);
            }
            Write::Backfill(row) => {
                self.backfills.insert(row.conversation, row);
            }
            Write::BackfillGone(conversation) => {
                self.backfills.remove(&conversation);
            }
            Write::NotSent(row) => {
                self.not_sent.insert(row.order, *row);
            }
            Write::NotSentGone(order) => {
                self.not_sent.remove(&order);
            }
            Write::Forget(conversation) => self.forget(conversation),
        }
    }

    fn forget(&mut self, conversation: ConversationId) {
        self.conversations.remove(&conversation);
        self.backfills.remove(&conversation);
        self.documents.retain(|document, _| document.conversation != conversation);
        self.facts.retain(|(document, ..), _| document.conversation != conversation);
        self.events.retain(|(document, _), _| document.conversation != conversation);
    }

    /// Answers a question.
    #[must_use]
    pub fn load(&self, query: &Query) -> Answer {
        let Query::Document(document) = *query;
        let facts = self.facts.range((document, ActorId([0; 16]), 0)..=(document, ActorId([0xff; 16]), u32::MAX));
        let events = self.events.iter().filter(|((of, _), _)| *of == document);
        Answer::Document {
            facts: facts.map(|(_, row)| row.clone()).collect(),
            events: events.map(|(_, row)| row.clone()).collect(),
        }
    }

    /// What a device starts from.
    #[must_use]
    pub fn stored(&self) -> Stored {
        Stored {
            meta: self.meta.clone(),
            team: self.team.clone(),
            conversations: self.conversations.values().cloned().collect(),
            documents: self.documents.values().copied().collect(),
            outbox: self.outbox.values().cloned().collect(),
            resolves: self.resolves.values().cloned().collect(),
            offers: self.offers.values().cloned().collect(),
            backfills: self.backfills.values().copied().collect(),
            not_sent: self.not_sent.values().cloned().collect(),
        }
    }
}
