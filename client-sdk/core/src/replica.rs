//! A document as a device holds it: its stamped facts and events, and what follows from them.
//!
//! Pure functions of rows, so that whoever has a device's rows (its store, a simulator's checker) gets the same chain
//! heads, digest and messages as the device itself.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::change::{ChainHead, derive};
use lockstep_protocol::entry::{EntryBody, Resolution, Verdict};
use lockstep_protocol::fact::{Direction, Fact};
use lockstep_protocol::id::{ActorId, ChangeHash, DocumentId, DocumentKind, Epoch, HashPrefix, Lsn, MessageId};
use lockstep_protocol::snapshot::DocumentDigest;

use crate::input::ChainFact;
use crate::row::{AcceptedReply, EventKey, EventRow, FactRow, OutboxRow};

/// A stamped fact, and its change's hash once its chain reaches it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldFact {
    /// The row.
    pub row: FactRow,
    /// The derived hash; none while a fact before it is missing.
    pub hash: Option<ChangeHash>,
}

/// A document's stamped facts and events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replica {
    document: DocumentId,
    facts: BTreeMap<(ActorId, u32), HeldFact>,
    events: BTreeMap<MessageId, BTreeMap<EventKey, EventRow>>,
    chains: BTreeMap<ActorId, ChainHead>,
    about: BTreeMap<MessageId, BTreeSet<(ActorId, u32)>>,
    digest: DocumentDigest,
    differs: bool,
}

impl Replica {
    /// A document without facts.
    #[must_use]
    pub fn empty(document: DocumentId) -> Self {
        Self {
            document,
            facts: BTreeMap::new(),
            events: BTreeMap::new(),
            chains: BTreeMap::new(),
            about: BTreeMap::new(),
            digest: DocumentDigest::default(),
            differs: false,
        }
    }

    /// A document from its rows, in any order.
    #[must_use]
    pub fn from_rows(
        document: DocumentId,
        facts: impl IntoIterator<Item = FactRow>,
        events: impl IntoIterator<Item = EventRow>,
    ) -> Self {
        let mut replica = Self::empty(document);
        for row in facts {
            replica.add_fact(row);
        }
        for row in events {
            replica.add_event(row);
        }
        replica
    }

    /// Adds a stamped fact and whatever waited for it; false if its place is taken already.
    pub fn add_fact(&mut self, row: FactRow) -> bool {
        let key = (row.placed.actor, row.placed.seq);
        if self.facts.contains_key(&key) {
            return false;
        }
        if let Some(message) = message_of(&row.placed.fact) {
            self.about.entry(message).or_default().insert(key);
        }
        toggle_parked(&mut self.digest, &row);
        self.facts.insert(key, HeldFact { row, hash: None });
        self.extend(key.0);
        true
    }

    /// Derives the changes of a chain as far as it has no hole.
    fn extend(&mut self, actor: ActorId) {
        let mut head = self.chains.get(&actor).copied().unwrap_or_else(|| ChainHead::empty(self.document.kind));
        while let Some(held) = self.facts.get_mut(&(actor, head.seq + 1)) {
            let placed = &held.row.placed;
            if placed.fact.check(self.document.kind).is_err() {
                self.differs = true;
                return;
            }
            head = derive(&actor, &head, &placed.fact);
            self.differs |= head.hash.prefix() != placed.hash;
            held.hash = Some(head.hash);
            toggle_parked(&mut self.digest, &held.row);
            match self.document.kind {
                DocumentKind::Imported => self.digest.add_imported(&head.hash),
                DocumentKind::Segment | DocumentKind::Card => {
                    self.digest.toggle_fact(&head.hash, &held.row.stamp.mac);
                }
            }
            self.chains.insert(actor, head);
        }
    }

    /// Adds a resolution or delivery, or its new stamp: a hub that was restored stamps it again. False if it is known.
    pub fn add_event(&mut self, row: EventRow) -> bool {
        let Some((_, key)) = row.key() else { return false };
        let about = self.events.entry(key.message()).or_default();
        if let Some(known) = about.get_mut(&key) {
            let restamped = (known.epoch, known.stamp) != (row.epoch, row.stamp);
            self.digest.toggle_event(&known.body, &known.stamp.mac);
            self.digest.toggle_event(&row.body, &row.stamp.mac);
            *known = row;
            return restamped;
        }
        self.digest.toggle_event(&row.body, &row.stamp.mac);
        about.insert(key, row);
        true
    }

    /// The document.
    #[must_use]
    pub const fn document(&self) -> DocumentId {
        self.document
    }

    /// A stamped fact.
    #[must_use]
    pub fn fact(&self, actor: ActorId, seq: u32) -> Option<&HeldFact> {
        self.facts.get(&(actor, seq))
    }

    /// Every stamped fact, in order of (actor, seq).
    pub fn facts(&self) -> impl ExactSizeIterator<Item = &HeldFact> {
        self.facts.values()
    }

    /// Every event.
    pub fn events(&self) -> impl Iterator<Item = &EventRow> {
        self.events.values().flat_map(BTreeMap::values)
    }

    /// Whether an event is known.
    #[must_use]
    pub fn has_event(&self, key: &EventKey) -> bool {
        self.events.get(&key.message()).is_some_and(|about| about.contains_key(key))
    }

    /// The head of every stamped chain, as far as it has no hole.
    #[must_use]
    pub const fn chains(&self) -> &BTreeMap<ActorId, ChainHead> {
        &self.chains
    }

    /// Digest of the stamped facts and events, as the hub's catalogue has it. One with a fact behind a hole equals none
    /// of the hub's, so that such a document is fetched.
    #[must_use]
    pub const fn digest(&self) -> DocumentDigest {
        self.digest
    }

    /// Whether a fact's derived hash is not the one that its entry carries.
    #[must_use]
    pub const fn differs(&self) -> bool {
        self.differs
    }

    /// Stamped facts that wait for one before them.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.facts.values().filter(|held| held.hash.is_none()).count()
    }

    /// The hash that `fact` would have as the next of a chain; none if the checks refuse it.
    #[must_use]
    pub fn next_hash(&self, actor: ActorId, fact: &Fact) -> Option<HashPrefix> {
        fact.check(self.document.kind).ok()?;
        let head = self.chains.get(&actor).copied().unwrap_or_else(|| ChainHead::empty(self.document.kind));
        Some(derive(&actor, &head, fact).hash.prefix())
    }

    /// The facts that a materialised document with the heads `known` lacks, each chain in order, those of `pending` that
    /// go on where stamped chains end included. None if it holds others than this one: a head's hash stands for its
    /// whole chain.
    #[must_use]
    pub fn facts_beyond<'a>(
        &self,
        known: &BTreeMap<ActorId, ChainHead>,
        pending: impl IntoIterator<Item = &'a OutboxRow>,
    ) -> Option<Vec<ChainFact>> {
        let following = self.following(pending);
        let stands = |(actor, head): (&ActorId, &ChainHead)| {
            let stamped = self.facts.get(&(*actor, head.seq)).and_then(|held| held.hash);
            let pending = || following.iter().find(|(row, _)| (row.actor, row.seq) == (*actor, head.seq));
            head.seq == 0 || stamped.or_else(|| pending().map(|(_, head)| head.hash)) == Some(head.hash)
        };
        if !known.iter().all(stands) {
            return None;
        }
        let upto = |actor: &ActorId| known.get(actor).map_or(0, |head| head.seq);
        let stamped = self.chains.iter().flat_map(|(actor, head)| {
            let upto = upto(actor);
            self.facts.range((*actor, upto + 1)..(*actor, head.seq.max(upto) + 1))
        });
        let stamped = stamped.map(|((actor, seq), held)| (*actor, *seq, &held.row.placed.fact));
        let pending = following.iter().filter(|(row, _)| row.seq > upto(&row.actor));
        let pending = pending.map(|(row, _)| (row.actor, row.seq, &row.fact));
        let facts = stamped.chain(pending);
        Some(facts.map(|(actor, seq, fact)| ChainFact { actor, seq, fact: fact.clone() }).collect())
    }

    /// The head of every chain, facts of the outbox included: what a materialised document's heads must be.
    #[must_use]
    pub fn heads<'a>(&self, pending: impl IntoIterator<Item = &'a OutboxRow>) -> BTreeMap<ActorId, ChainHead> {
        let mut heads = self.chains.clone();
        heads.extend(self.following(pending).into_iter().map(|(row, head)| (row.actor, head)));
        heads
    }

    /// The facts of `pending` that go on where stamped chains end, in order of (actor, seq), each with the head that it
    /// leads to.
    fn following<'a>(&self, pending: impl IntoIterator<Item = &'a OutboxRow>) -> Vec<(&'a OutboxRow, ChainHead)> {
        let mut rows: Vec<_> = pending.into_iter().filter(|row| row.document == self.document).collect();
        rows.sort_by_key(|row| (row.actor, row.seq));
        let mut following: Vec<(&OutboxRow, ChainHead)> = Vec::with_capacity(rows.len());
        for row in rows {
            let before = following.last().filter(|(last, _)| last.actor == row.actor).map(|(_, head)| *head);
            let head = before.unwrap_or_else(|| self.head(row.actor));
            if row.seq == head.seq + 1 && row.fact.check(self.document.kind).is_ok() {
                following.push((row, derive(&row.actor, &head, &row.fact)));
            }
        }
        following
    }

    fn head(&self, actor: ActorId) -> ChainHead {
        self.chains.get(&actor).copied().unwrap_or_else(|| ChainHead::empty(self.document.kind))
    }

    /// The newest accepted reply, in order of acceptance. `generation` ranks epochs. Imported replies do not count.
    #[must_use]
    pub fn newest_reply(&self, generation: impl Fn(&Epoch) -> u32) -> Option<AcceptedReply> {
        if self.document.kind == DocumentKind::Imported {
            return None;
        }
        let facts = self.facts.values().filter_map(|held| accepted_by_fact(&held.row));
        let events = self.events().filter_map(accepted_by_event);
        let all = facts.chain(events);
        all.map(|(epoch, lsn, message)| AcceptedReply { generation: generation(&epoch), lsn, message }).max()
    }

    /// Ids of the messages that it holds, in order.
    pub fn message_ids(&self) -> impl Iterator<Item = MessageId> {
        self.about.iter().filter(|(id, keys)| keys.iter().any(|key| self.is_message(key, **id))).map(|(id, _)| *id)
    }

    /// Every message that it holds something of or about.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = MessageId> {
        self.about.keys().chain(self.events.keys()).copied()
    }

    /// Whether it holds the message itself.
    #[must_use]
    pub fn has_message(&self, id: MessageId) -> bool {
        self.about.get(&id).is_some_and(|keys| keys.iter().any(|key| self.is_message(key, id)))
    }

    fn is_message(&self, key: &(ActorId, u32), id: MessageId) -> bool {
        matches!(&self.facts[key].row.placed.fact, Fact::Message(message) if message.id == id)
    }

    /// Stamped facts about a message, itself included.
    pub fn about(&self, id: MessageId) -> impl Iterator<Item = &FactRow> {
        self.about.get(&id).into_iter().flatten().map(|key| &self.facts[key].row)
    }

    /// Events about a message.
    pub fn events_about(&self, id: MessageId) -> impl Iterator<Item = &EventRow> {
        self.events.get(&id).into_iter().flat_map(BTreeMap::values)
    }
}

/// Adds (or takes back) a fact behind a hole, whose change is not known: by the part of its hash that is.
fn toggle_parked(digest: &mut DocumentDigest, row: &FactRow) {
    let mut hash = ChangeHash([0; 32]);
    let known = row.placed.hash.0;
    hash.0[..known.len()].copy_from_slice(&known);
    digest.toggle_fact(&hash, &row.stamp.mac);
}

/// The message that a fact is or is about.
pub(crate) fn message_of(fact: &Fact) -> Option<MessageId> {
    match fact {
        Fact::Message(message) => Some(message.id),
        other => other.target(),
    }
}

/// The acceptance that a fact's stamp means, if it is an accepted reply.
pub(crate) fn accepted_by_fact(row: &FactRow) -> Option<(Epoch, Lsn, MessageId)> {
    let Fact::Message(message) = &row.placed.fact else { return None };
    let goes = matches!(row.stamp.verdict, Verdict::Accepted | Verdict::Flagged(_));
    (message.dir == Direction::Out && goes).then_some((row.epoch, row.stamp.lsn, message.id))
}

/// The acceptance that an event means, if it is a reply that was sent anyway.
pub(crate) fn accepted_by_event(row: &EventRow) -> Option<(Epoch, Lsn, MessageId)> {
    match row.body {
        EntryBody::Resolved { message, resolution: Resolution::Send, .. } => Some((row.epoch, row.stamp.lsn, message)),
        _ => None,
    }
}
