//! Rows on their way into the store: everything that one turn changed becomes durable together.

use std::collections::BTreeSet;

use lockstep_protocol::change::ChainHead;
use lockstep_protocol::fact::Fact;
use lockstep_protocol::id::{ConversationId, DocumentId, Lsn};
use lockstep_protocol::snapshot::DocumentDigest;

use crate::device::{Device, Loaded};
use crate::effect::{Effect, Notice, Ticket, Transaction};
use crate::planted::ClientBug;
use crate::replica::{Replica, accepted_by_event, accepted_by_fact, message_of};
use crate::row::{AcceptedReply, DocumentRow, EventRow, FactRow, Write};

/// What the next transaction will write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    pub(crate) writes: Vec<Write>,
    pub(crate) conversations: BTreeSet<ConversationId>,
    pub(crate) documents: BTreeSet<DocumentId>,
    pub(crate) meta: bool,
    pub(crate) team: bool,
}

impl Device {
    /// The ticket of the transaction that is being gathered.
    pub(crate) const fn ticket(&self) -> Ticket {
        self.next_ticket
    }

    pub(crate) fn write(&mut self, write: Write) {
        self.pending.writes.push(write);
    }

    /// Hands the gathered rows to the driver as one transaction.
    pub(crate) fn commit(&mut self) {
        let pending = core::mem::take(&mut self.pending);
        let mut writes = pending.writes;
        let conversations = pending.conversations.iter().filter_map(|id| self.conversations.get(id));
        writes.extend(conversations.map(|row| Write::Conversation(Box::new(row.clone()))));
        let documents = pending.documents.iter().filter_map(|id| self.documents.get(id));
        writes.extend(documents.map(|row| Write::Document(Box::new(self.document_to_store(row)))));
        if pending.team
            && let Some(team) = &self.team
        {
            writes.push(Write::Team(Box::new(team.clone())));
        }
        if pending.meta {
            self.meta.clock_ms = self.clock.last_ms();
            writes.push(Write::Meta(Box::new(self.meta.clone())));
        }
        if self.planted.is(ClientBug::BackfillForgottenAfterCrash) {
            writes.retain(|write| !matches!(write, Write::Backfill(_)));
        }
        if self.planted.is(ClientBug::SeqReuseAfterCrash) {
            writes.retain(|write| !matches!(write, Write::Outbox(_)));
        }
        if self.planted.is(ClientBug::RevokeKeepsCopy) {
            writes.retain(|write| !matches!(write, Write::Forget(_)));
        }
        if writes.is_empty() {
            return;
        }
        let ticket = self.next_ticket;
        self.next_ticket = Ticket(ticket.0 + 1);
        self.out.push(Effect::Persist(Transaction { ticket, writes }));
    }

    fn document_to_store(&self, row: &DocumentRow) -> DocumentRow {
        let mut row = *row;
        if self.planted.is(ClientBug::SeqReuseAfterCrash)
            && let Some(own) = &mut row.own
        {
            let stamped = self.replicas.get(&row.document).and_then(|loaded| loaded.replica.chains().get(&own.actor));
            own.head = stamped.copied().unwrap_or_else(|| ChainHead::empty(row.document.kind));
        }
        row
    }

    /// The row of a document, made if there is none: then the store holds nothing of it, and nothing is to be loaded.
    pub(crate) fn document(&mut self, document: DocumentId) -> &mut DocumentRow {
        let ticket = self.ticket();
        let new =
            DocumentRow { document, digest: DocumentDigest::default(), own: None, newest_reply: None, listed: None };
        self.pending.documents.insert(document);
        self.documents.entry(document).or_insert_with(|| {
            let loaded = Loaded { replica: Replica::empty(document), ticket, used: self.uses };
            self.replicas.insert(document, loaded);
            new
        })
    }

    /// A loaded document that is about to be written.
    ///
    /// Callers have waited for it in [`Device::run_jobs`]; a document that is not there has no rows.
    pub(crate) fn replica(&mut self, document: DocumentId) -> &mut Replica {
        self.document(document);
        let (ticket, used) = (self.ticket(), self.uses);
        let loaded = self.replicas.get_mut(&document).expect("a job waits until its documents are loaded");
        loaded.ticket = ticket;
        loaded.used = used;
        &mut loaded.replica
    }

    /// Takes a stamped fact into its document; false if its place is taken.
    pub(crate) fn take_fact(&mut self, row: FactRow) -> bool {
        let document = row.placed.document;
        if !self.replica(document).add_fact(row.clone()) {
            return false;
        }
        self.clock.receive(self.now.wall_ms, row.placed.fact.time_ms());
        self.touch(document, message_of(&row.placed.fact));
        if let Fact::Message(message) = &row.placed.fact {
            self.offers.message_stands(message.id);
        }
        if let Some((epoch, lsn, message)) = accepted_by_fact(&row) {
            let generation = self.generation(&epoch);
            self.accepted(document, AcceptedReply { generation, lsn, message });
        }
        self.newest(document.conversation, row.stamp.lsn);
        self.write(Write::Fact(Box::new(row)));
        self.refresh_digest(document);
        true
    }

    /// Takes a resolution or delivery into its document; false if it is known.
    pub(crate) fn take_event(&mut self, row: EventRow) -> bool {
        let Some((document, key)) = row.key() else { return false };
        if !self.replica(document).add_event(row.clone()) {
            return false;
        }
        self.touch(document, Some(key.message()));
        if let Some((epoch, lsn, message)) = accepted_by_event(&row) {
            let generation = self.generation(&epoch);
            self.accepted(document, AcceptedReply { generation, lsn, message });
        }
        self.newest(document.conversation, row.stamp.lsn);
        self.write(Write::Event(Box::new(row)));
        self.refresh_digest(document);
        true
    }

    fn accepted(&mut self, document: DocumentId, reply: AcceptedReply) {
        let row = self.document(document);
        row.newest_reply = row.newest_reply.max(Some(reply));
    }

    pub(crate) fn newest(&mut self, conversation: ConversationId, lsn: Lsn) {
        if let Some(row) = self.conversations.get_mut(&conversation)
            && row.newest < lsn
        {
            row.newest = lsn;
            self.pending.conversations.insert(conversation);
        }
    }

    pub(crate) fn refresh_digest(&mut self, document: DocumentId) {
        let replica = self.replica(document);
        let (digest, differs) = (replica.digest(), replica.differs());
        self.document(document).digest = digest;
        if differs {
            self.stop_pushing();
        }
    }

    /// This device and the hub derive different changes: nothing is sent until an update, everything is kept.
    pub(crate) fn stop_pushing(&mut self) {
        if !self.differs {
            self.differs = true;
            self.notice(Notice::UpdateNeeded);
        }
    }

    /// Forgets documents that nothing needs, longest unused first.
    pub(crate) fn evict(&mut self) {
        let mut facts: usize = self.replicas.values().map(|loaded| loaded.replica.facts().len()).sum();
        if self.replicas.len() <= self.config.documents_max && facts <= self.config.facts_max {
            return;
        }
        let free = |id: &DocumentId, loaded: &Loaded| loaded.ticket <= self.persisted && !self.shows(*id);
        let mut candidates: Vec<_> =
            self.replicas.iter().filter(|(id, loaded)| free(id, loaded)).map(|(id, row)| (row.used, *id)).collect();
        candidates.sort_unstable();
        for (_, id) in candidates {
            if self.replicas.len() <= self.config.documents_max && facts <= self.config.facts_max {
                return;
            }
            if self.jobs.front().is_some_and(|job| self.names(job, id)) {
                continue;
            }
            facts -= self.replicas.remove(&id).map_or(0, |loaded| loaded.replica.facts().len());
        }
    }
}
