//! The one log: sequencing, stamps, the log chain, and what waits for the next sync.

use std::collections::VecDeque;

use bytes::Bytes;
use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::directory::DirectoryEvent;
use lockstep_protocol::entry::{Entry, EntryBody, HubKey, LogChain, Stamp, Verdict};
use lockstep_protocol::id::{ConversationId, Epoch, Lsn, MemberId};

use crate::audit::{Actor, Audit, AuditHead, Noted};
use crate::effect::{Batch, Effect, LogEntry, OutsideEvent, Ticket};
use crate::input::SessionId;
use crate::row::{Class, Write};

/// An entry that is sequenced but not yet durable.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    pub(crate) lsn: Lsn,
    pub(crate) bytes: Bytes,
    pub(crate) chain: LogChain,
    pub(crate) conversation: Option<ConversationId>,
    /// The session that pushed it, if it is a fact: that one gets the Ack instead of the entry.
    pub(crate) origin: Option<SessionId>,
    pub(crate) event: Option<DirectoryEvent>,
}

/// What one input adds to the log and the rows; committed as one batch.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Who is behind it.
    pub(crate) actor: Actor,
    entries: Vec<LogEntry>,
    writes: Vec<Write>,
    outside: Vec<OutsideEvent>,
    noted: Vec<Noted>,
}

impl Default for Draft {
    fn default() -> Self {
        Self::by(Actor::Hub)
    }
}

impl Draft {
    pub(crate) const fn by(actor: Actor) -> Self {
        Self { actor, entries: Vec::new(), writes: Vec::new(), outside: Vec::new(), noted: Vec::new() }
    }

    /// For the audit log.
    pub(crate) fn note(&mut self, noted: Noted) {
        self.noted.push(noted);
    }

    pub(crate) fn write(&mut self, write: Write) {
        // A conversation's row changes with each of its entries; one write a batch is enough.
        if matches!(write, Write::Conversation(_)) {
            self.writes.retain(|earlier| !matches!(earlier, Write::Conversation(_)));
        }
        self.writes.push(write);
    }

    /// For the list outside the backup chain; the event is the newest entry.
    pub(crate) fn outside(&mut self, log: &Log, event: DirectoryEvent) {
        self.outside.push(OutsideEvent { epoch: log.epoch, lsn: log.head, event });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.writes.is_empty() && self.noted.is_empty()
    }
}

/// What the hub says of an entry, where that is not the default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    pub(crate) member: MemberId,
    pub(crate) verdict: Verdict,
    pub(crate) origin: Option<SessionId>,
    /// Re-admitted entries keep their time.
    pub(crate) at_ms: Option<u64>,
    /// Under which keys the entry is stored.
    pub(crate) class: Class,
}

impl Author {
    pub(crate) const fn new(member: MemberId) -> Self {
        Self { member, verdict: Verdict::Accepted, origin: None, at_ms: None, class: Class::Normal }
    }
}

/// The log's end, and everything between sequencing and durability.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) key: HubKey,
    pub(crate) epoch: Epoch,
    pub(crate) epochs: Vec<(Epoch, Lsn)>,
    pub(crate) head: Lsn,
    chain: LogChain,
    at_ms: u64,
    ticket: Ticket,
    durable: Ticket,
    pub(crate) committed: Lsn,
    pub(crate) committed_chain: LogChain,
    in_flight: VecDeque<InFlight>,
    batches: VecDeque<(Ticket, Lsn)>,
    /// The other chain.
    pub(crate) audit: Audit,
}

impl Log {
    pub(crate) fn new(
        key: HubKey,
        epochs: Vec<(Epoch, Lsn)>,
        head: Lsn,
        chain: LogChain,
        at_ms: u64,
        audit: AuditHead,
    ) -> Self {
        Self {
            key,
            epoch: epochs.last().map_or_else(Epoch::default, |(epoch, _)| *epoch),
            epochs,
            head,
            chain,
            at_ms,
            ticket: Ticket::default(),
            durable: Ticket::default(),
            committed: head,
            committed_chain: chain,
            in_flight: VecDeque::new(),
            batches: VecDeque::new(),
            audit: Audit::new(audit),
        }
    }

    /// Gives an entry its place and stamp. The time never goes back, whatever the wall clock does.
    pub(crate) fn append(&mut self, draft: &mut Draft, wall_ms: u64, author: Author, body: EntryBody) -> Stamp {
        self.head = self.head.next();
        self.at_ms = self.at_ms.max(wall_ms);
        let at_ms = author.at_ms.unwrap_or(self.at_ms);
        let stamp =
            Stamp::sign(&self.key, &self.epoch, self.head, at_ms, author.member, author.verdict, &body.mac_bytes());
        let (conversation, document) = (body.conversation(), body.document());
        let entry = Entry { stamp, body };
        let bytes = entry.to_bytes();
        self.chain = self.chain.after(&self.key, &bytes);
        let event = match entry.body {
            EntryBody::Directory(event) => Some(event),
            _ => None,
        };
        draft.entries.push(LogEntry {
            lsn: self.head,
            bytes: bytes.clone(),
            chain: self.chain,
            at_ms: self.at_ms,
            conversation,
            document,
            class: author.class,
        });
        self.in_flight.push_back(InFlight {
            lsn: self.head,
            bytes,
            chain: self.chain,
            conversation,
            origin: author.origin,
            event,
        });
        stamp
    }

    /// Begins a new epoch after everything sequenced so far.
    pub(crate) fn begin_epoch(&mut self, draft: &mut Draft, epoch: Epoch) {
        self.epoch = epoch;
        self.epochs.push((epoch, self.head));
        draft.write(Write::Epoch { epoch, after: self.head });
    }

    /// Hands a draft over to be made durable. Answers the ticket to wait for; the last one if the draft is empty.
    pub(crate) fn commit(&mut self, mut draft: Draft, effects: &mut Vec<Effect>) -> Ticket {
        if draft.is_empty() {
            return self.ticket;
        }
        self.ticket = Ticket(self.ticket.0 + 1);
        if !draft.entries.is_empty() {
            draft.writes.push(Write::Head { lsn: self.head, chain: self.chain, at_ms: self.at_ms });
        }
        // Numbered here, not when they were noted: drafts are committed in the order of their tickets.
        self.audit.append(&self.key, self.epoch, &draft.noted, &mut draft.writes);
        self.batches.push_back((self.ticket, self.head));
        effects.push(Effect::Commit(Batch {
            ticket: self.ticket,
            entries: draft.entries,
            writes: draft.writes,
            outside: draft.outside,
        }));
        self.ticket
    }

    /// Takes note of what is durable now, and hands out the entries that just became so, in order.
    pub(crate) fn committed(&mut self, ticket: Ticket) -> Vec<InFlight> {
        self.durable = self.durable.max(ticket);
        while self.batches.front().is_some_and(|(batch, _)| *batch <= ticket) {
            let (_, upto) = self.batches.pop_front().expect("the front was just looked at");
            self.committed = self.committed.max(upto);
        }
        let mut entries = Vec::new();
        while self.in_flight.front().is_some_and(|entry| entry.lsn <= self.committed) {
            entries.extend(self.in_flight.pop_front());
        }
        if let Some(last) = entries.last() {
            self.committed_chain = last.chain;
        }
        entries
    }

    /// Everything sequenced and not durable; only a planted bug looks at it.
    pub(crate) fn undurable(&self) -> Vec<InFlight> {
        self.in_flight.iter().cloned().collect()
    }

    /// The ticket whose durability makes everything sequenced so far durable.
    pub(crate) const fn last_ticket(&self) -> Ticket {
        self.ticket
    }

    pub(crate) fn is_durable(&self, ticket: Ticket) -> bool {
        ticket <= self.durable
    }

    /// Whether nothing waits for a sync.
    pub(crate) fn is_quiet(&self) -> bool {
        self.batches.is_empty()
    }

    /// The hub's signed cursor for a place in the current epoch.
    pub(crate) fn cursor(&self, lsn: Lsn, chain: &LogChain) -> Cursor {
        Cursor::sign(&self.key, self.epoch, lsn, chain)
    }

    /// The cursor of the newest durable entry.
    pub(crate) fn committed_cursor(&self) -> Cursor {
        self.cursor(self.committed, &self.committed_chain)
    }

    /// Whether an entry of this epoch and LSN is in this log's history.
    pub(crate) fn holds(&self, epoch: &Epoch, lsn: Lsn) -> bool {
        let Some(at) = self.epochs.iter().position(|(known, _)| known == epoch) else { return false };
        let end = self.epochs.get(at + 1).map_or(self.head, |(_, after)| *after);
        lsn > self.epochs[at].1 && lsn <= end
    }

    /// The last LSN before the current epoch.
    pub(crate) fn epoch_start(&self) -> Lsn {
        self.epochs.last().map_or(Lsn::ZERO, |(_, after)| *after)
    }

    pub(crate) fn knows_epoch(&self, epoch: &Epoch) -> bool {
        self.epochs.iter().any(|(known, _)| known == epoch)
    }

    pub(crate) const fn at_ms(&self) -> u64 {
        self.at_ms
    }
}
