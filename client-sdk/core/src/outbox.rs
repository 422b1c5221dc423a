//! Facts that the hub has not confirmed, in the order in which they were written.

use core::ops::RangeInclusive;
use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::fact::Fact;
use lockstep_protocol::id::{ActorId, ConversationId, DocumentId, MessageId};

use crate::effect::Ticket;
use crate::replica::message_of;
use crate::row::OutboxRow;

/// The outbox: all of it is in memory, as it is bounded by `OUTBOX_MAX`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox {
    rows: BTreeMap<u64, (OutboxRow, Ticket)>,
    documents: BTreeMap<DocumentId, BTreeSet<u64>>,
    /// Order by place in a chain.
    places: BTreeMap<(DocumentId, ActorId, u32), u64>,
    messages: BTreeMap<MessageId, DocumentId>,
    /// Orders by the message that a row is or is about.
    about: BTreeSet<(MessageId, u64)>,
}

/// Most facts that may wait; beyond, an act is answered `Busy`.
pub(crate) const OUTBOX_MAX: usize = 65_536;

impl Outbox {
    pub(crate) fn insert(&mut self, row: OutboxRow, ticket: Ticket) {
        self.remove(row.order);
        if let Fact::Message(message) = &row.fact {
            self.messages.insert(message.id, row.document);
        }
        self.about.extend(message_of(&row.fact).map(|message| (message, row.order)));
        self.documents.entry(row.document).or_default().insert(row.order);
        self.places.insert((row.document, row.actor, row.seq), row.order);
        self.rows.insert(row.order, (row, ticket));
    }

    pub(crate) fn remove(&mut self, order: u64) -> Option<OutboxRow> {
        let (row, _) = self.rows.remove(&order)?;
        if let Fact::Message(message) = &row.fact {
            self.messages.remove(&message.id);
        }
        if let Some(message) = message_of(&row.fact) {
            self.about.remove(&(message, order));
        }
        let orders = self.documents.get_mut(&row.document).expect("every row is in its document's set");
        orders.remove(&order);
        if orders.is_empty() {
            self.documents.remove(&row.document);
        }
        self.places.remove(&(row.document, row.actor, row.seq));
        Some(row)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Rows in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &OutboxRow> {
        self.rows.values().map(|(row, _)| row)
    }

    /// Rows of a document, in order.
    pub(crate) fn of(&self, document: DocumentId) -> impl Iterator<Item = &OutboxRow> {
        self.documents.get(&document).into_iter().flatten().map(|order| &self.rows[order].0)
    }

    /// Rows of a conversation.
    pub(crate) fn of_conversation(&self, conversation: ConversationId) -> impl Iterator<Item = &OutboxRow> {
        self.within(DocumentId::segment(conversation, 0)..=DocumentId::card(conversation, u32::MAX))
    }

    /// Rows of a conversation's cards.
    pub(crate) fn of_cards(&self, conversation: ConversationId) -> impl Iterator<Item = &OutboxRow> {
        self.within(DocumentId::card(conversation, 0)..=DocumentId::card(conversation, u32::MAX))
    }

    fn within(&self, documents: RangeInclusive<DocumentId>) -> impl Iterator<Item = &OutboxRow> {
        self.documents.range(documents).flat_map(|(_, orders)| orders).map(|order| &self.rows[order].0)
    }

    /// A conversation's rows that are a message, or about it.
    pub(crate) fn about(&self, conversation: ConversationId, message: MessageId) -> impl Iterator<Item = &OutboxRow> {
        let rows = self.about.range((message, 0)..=(message, u64::MAX)).map(|(_, order)| &self.rows[order].0);
        rows.filter(move |row| row.document.conversation == conversation)
    }

    /// Rows of a document in one chain, in order of seq, with their tickets.
    pub(crate) fn chain(&self, document: DocumentId, actor: ActorId) -> impl Iterator<Item = (&OutboxRow, Ticket)> {
        let places = self.places.range((document, actor, 0)..=(document, actor, u32::MAX));
        places.map(|(_, order)| &self.rows[order]).map(|(row, ticket)| (row, *ticket))
    }

    /// The row at a place of a chain.
    pub(crate) fn at(&self, document: DocumentId, actor: ActorId, seq: u32) -> Option<&OutboxRow> {
        self.places.get(&(document, actor, seq)).map(|order| &self.rows[order].0)
    }

    /// Documents with rows, that with the oldest row first.
    pub(crate) fn documents(&self) -> Vec<DocumentId> {
        let first = |orders: &BTreeSet<u64>| orders.first().copied();
        let mut documents: Vec<_> = self.documents.iter().map(|(id, orders)| (first(orders), *id)).collect();
        documents.sort_unstable();
        documents.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether a row of a document stands in its chain before the message that it is about.
    pub(crate) fn is_overtaken(&self, document: DocumentId) -> bool {
        let message = |row: &OutboxRow| match &row.fact {
            Fact::Message(message) => Some((message.id, row.seq)),
            _ => None,
        };
        let messages: BTreeMap<MessageId, u32> = self.of(document).filter_map(message).collect();
        let place = |row: &OutboxRow| row.fact.target().and_then(|target| messages.get(&target).copied());
        self.of(document).any(|row| place(row).is_some_and(|seq| row.seq < seq))
    }

    /// The document that a pending message waits for.
    pub(crate) fn document_of(&self, message: MessageId) -> Option<DocumentId> {
        self.messages.get(&message).copied()
    }
}
