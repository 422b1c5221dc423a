//! Fetching documents: newest segments of recent conversations first, resumable, superseded by newer grants.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lockstep_protocol::entry::{Entry, EntryBody, PlacedFact};
use lockstep_protocol::frame::{CatalogueConversation, DeviceFrame, Fetch, Snapshot, Tag, TailEntry};
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, Epoch, Lsn};
use lockstep_protocol::refusal::{Refusal, RefusalClass};
use lockstep_protocol::snapshot::Table;

use crate::backoff::Waiter;
use crate::device::Device;
use crate::effect::{Apply, Effect, JobId, Notice};
use crate::input::{AppliedDocument, ApplyFailure};
use crate::job::Job;
use crate::planted::ClientBug;
use crate::replica::Replica;
use crate::row::{BackfillRow, EventRow, FactRow, Write};

/// Segments asked for at once that nobody waits for. What somebody waits for comes one by one: on a slow line the next
/// conversation's newest is wanted before this one's past.
const FETCH_SEGMENTS: u32 = 4;
/// Fetches in flight at once: so many small ones fill a line of 100 Mbit/s and 40 ms. (The hub lets 16 wait.)
const FETCHES_MAX: usize = 12;
/// Fetches in flight beyond which no past is asked for that nobody waits for.
const PAST_FETCHES_MAX: usize = 2;
/// Attempts to read one document.
pub(crate) const READS_MAX: u32 = 4;
/// Largest snapshot of one document, bytes: saved document, table and tail. A segment at its hard cap has 6,144
/// operations of at most 16 KiB.
const DOCUMENT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// How much somebody waits for what a backfill asks for next; the first is asked for first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// An open view shows nothing yet.
    ShownNewest,
    /// An open view reaches back to what is not here.
    ShownOlder,
    /// The newest segment of a conversation of which nothing came.
    Newest,
    /// What came before.
    Past,
}

/// A Fetch that waits for its answers.
#[derive(Clone, Debug)]
pub(crate) struct FetchState {
    conversation: ConversationId,
    /// The imported segment that it asks for; it belongs to no backfill then.
    imported: Option<DocumentId>,
    grant: Lsn,
    before: Option<u32>,
    /// Documents that came.
    came: BTreeSet<DocumentId>,
    /// Documents that went while it was under way, and with which entry.
    gone: BTreeMap<DocumentId, Lsn>,
    assembling: Option<WholeSnapshot>,
    /// Documents whose bytes a worker reads.
    reading: BTreeMap<JobId, WholeSnapshot>,
    /// Fetched came with this.
    fetched: Option<Option<u32>>,
}

/// A document's Snapshot frames, joined.
#[derive(Clone, Debug)]
pub(crate) struct WholeSnapshot {
    pub(crate) document: DocumentId,
    upto: Lsn,
    parts: u32,
    /// Bytes of all parts.
    weight: usize,
    bytes: Vec<u8>,
    table: Table,
    tail: Vec<TailEntry>,
    read: Option<AppliedDocument>,
}

impl Device {
    /// Starts or restarts a conversation's backfill.
    pub(crate) fn begin_backfill(&mut self, row: BackfillRow) {
        self.backfills.insert(row.conversation, row);
        self.write(Write::Backfill(row));
        self.pauses.clear(&Waiter::Fetch(row.conversation));
    }

    /// Starts a backfill of one document, or widens the present one so that it covers it.
    pub(crate) fn backfill_document(&mut self, document: DocumentId) {
        let (before, floor) = match document.kind {
            DocumentKind::Segment => (Some(document.number.saturating_add(1)), document.number),
            DocumentKind::Card | DocumentKind::Imported => (None, u32::MAX),
        };
        let conversation = document.conversation;
        self.fetches.retain(|_, fetch| fetch.conversation != conversation);
        let row = match self.backfills.get(&conversation) {
            Some(known) => BackfillRow {
                before: known.before.zip(before).map(|(known, before)| known.max(before)),
                floor: known.floor.min(floor),
                ..*known
            },
            None => {
                let grant = self.cursor_lsn().unwrap_or_default();
                BackfillRow { conversation, grant, before, floor, changed: false }
            }
        };
        self.begin_backfill(row);
    }

    /// Whether a Fetch belongs to its conversation's present backfill.
    fn current(&self, tag: Tag) -> bool {
        let Some(fetch) = self.fetches.get(&tag) else { return false };
        if let Some(document) = &fetch.imported {
            return self.wanted.contains(document);
        }
        let row = self.backfills.get(&fetch.conversation);
        let believed = self.bug(ClientBug::OldGrantBelieved);
        row.is_some_and(|row| believed || (row.grant == fetch.grant && row.before == fetch.before))
    }

    /// Asks for the next documents: open views first, then the newest of every conversation, recent ones first.
    pub(crate) fn send_fetches(&mut self) {
        let mut busy: BTreeSet<_> =
            self.fetches.iter().filter(|(tag, _)| self.current(**tag)).map(|(_, fetch)| fetch.conversation).collect();
        if self.fetches.len() >= FETCHES_MAX || self.cursor_lsn().is_none() {
            return;
        }
        // What somebody waits for comes first, the newest of it before the rest.
        for document in self.wanted.iter().rev().copied().collect::<Vec<_>>() {
            let conversation = document.conversation;
            let waits = self.pauses.waits(&Waiter::Fetch(conversation), self.now.mono_ms);
            if self.fetches.len() < FETCHES_MAX && !waits && busy.insert(conversation) {
                let (before, grant) = (Some(document.number.saturating_add(1)), Lsn::ZERO);
                self.ask(conversation, before, grant, Some(document));
            }
        }
        // Mostly so: then nothing is sorted.
        let no_past = self.fetches.len() >= PAST_FETCHES_MAX;
        let mut waiting: Vec<_> = self
            .backfills
            .values()
            .filter(|row| !busy.contains(&row.conversation))
            .filter(|row| !no_past || self.urgency(row) != Urgency::Past)
            .filter(|row| !self.pauses.waits(&Waiter::Fetch(row.conversation), self.now.mono_ms))
            .map(|row| {
                let newest = self.conversations.get(&row.conversation).map_or(Lsn::ZERO, |known| known.newest);
                (self.urgency(row), core::cmp::Reverse(newest), row.conversation, *row)
            })
            .collect();
        waiting.sort_by_key(|(urgency, newest, conversation, _)| (*urgency, *newest, *conversation));
        for (urgency, .., row) in waiting {
            let most = if urgency == Urgency::Past { PAST_FETCHES_MAX } else { FETCHES_MAX };
            if self.fetches.len() >= most {
                return;
            }
            self.ask(row.conversation, row.before, row.grant, None);
        }
    }

    fn urgency(&self, row: &BackfillRow) -> Urgency {
        match (self.screen.oldest(row.conversation), row.before) {
            (Some(_), None) => Urgency::ShownNewest,
            (Some(oldest), Some(before)) if oldest < before => Urgency::ShownOlder,
            (_, None) => Urgency::Newest,
            (_, Some(_)) => Urgency::Past,
        }
    }

    /// Sends a Fetch, for a backfill or for one imported segment.
    fn ask(&mut self, conversation: ConversationId, before: Option<u32>, grant: Lsn, imported: Option<DocumentId>) {
        let tag = self.tag();
        let fetch = FetchState {
            conversation,
            imported,
            grant,
            before,
            came: BTreeSet::new(),
            gone: BTreeMap::new(),
            assembling: None,
            reading: BTreeMap::new(),
            fetched: None,
        };
        self.fetches.insert(tag, fetch);
        let past = self.backfills.get(&conversation).is_some_and(|row| self.urgency(row) == Urgency::Past);
        let imported = imported.is_some();
        let limit = if past && !imported { FETCH_SEGMENTS } else { 1 };
        self.send(&DeviceFrame::Fetch(Fetch { tag, conversation, before, limit, imported }));
    }

    /// The conversation that a Fetch asked about.
    pub(crate) fn take_page(&mut self, tag: Tag, conversations: Vec<CatalogueConversation>) {
        if !self.current(tag) {
            return;
        }
        let asked = self.fetches[&tag].conversation;
        for listed in conversations.into_iter().filter(|listed| listed.conversation.id == asked) {
            self.take_listing(&listed, false);
        }
    }

    /// A part of a document.
    pub(crate) fn take_part(&mut self, part: Snapshot) {
        let Some(fetch) = self.fetches.get_mut(&part.tag) else { return };
        let weight = weight(&part);
        if part.part == 0 {
            let Snapshot { document, upto, bytes, table, tail, .. } = part;
            fetch.assembling = Some(WholeSnapshot { document, upto, parts: 1, weight, bytes, table, tail, read: None });
        } else if let Some(whole) = fetch.assembling.as_mut().filter(|whole| {
            whole.document == part.document && whole.parts == part.part && whole.weight + weight <= DOCUMENT_BYTES_MAX
        }) {
            whole.parts += 1;
            whole.weight += weight;
            whole.bytes.extend(part.bytes);
            whole.table.facts.extend(part.table.facts);
            whole.table.events.extend(part.table.events);
            whole.tail.extend(part.tail);
        } else {
            self.session.broken = true;
            return;
        }
        if !part.last {
            return;
        }
        let tag = part.tag;
        let Some(mut whole) = fetch.assembling.take() else { return };
        fetch.came.insert(whole.document);
        if whole.bytes.is_empty() {
            self.queue(Job::Replace { tag, snapshot: Box::new(whole) });
        } else {
            let document = whole.document;
            let bytes = Bytes::from(core::mem::take(&mut whole.bytes));
            let job = self.job();
            if let Some(fetch) = self.fetches.get_mut(&tag) {
                fetch.reading.insert(job, whole);
            }
            self.out.push(Effect::Apply(Apply::Parse { job, document, bytes }));
        }
    }

    /// A document went: what is on its way of it was read before.
    pub(crate) fn fetched_before(&mut self, document: DocumentId, lsn: Lsn) {
        let conversation = document.conversation;
        for fetch in self.fetches.values_mut().filter(|fetch| fetch.conversation == conversation) {
            fetch.gone.insert(document, lsn);
        }
    }

    /// A Fetch is answered; what a worker still reads comes first.
    pub(crate) fn fetched(&mut self, tag: Tag, before: Option<u32>) {
        if let Some(fetch) = self.fetches.get_mut(&tag) {
            fetch.fetched = Some(before);
            self.finish_fetch(tag);
        }
    }

    fn finish_fetch(&mut self, tag: Tag) {
        let Some(fetch) = self.fetches.get(&tag) else { return };
        if let (Some(before), true) = (fetch.fetched, fetch.reading.is_empty()) {
            self.queue(Job::Fetched { tag, before });
        }
    }

    /// A worker answered.
    pub(crate) fn applied(&mut self, job: JobId, document: DocumentId, outcome: Result<AppliedDocument, ApplyFailure>) {
        let fetch = self.fetches.iter_mut().find(|(_, fetch)| fetch.reading.contains_key(&job));
        let Some((tag, fetch)) = fetch else {
            self.live_applied(job, document, outcome.map(|applied| applied.heads));
            return;
        };
        let tag = *tag;
        let Some(mut snapshot) = fetch.reading.remove(&job) else { return };
        match outcome {
            Ok(read) => {
                snapshot.read = Some(read);
                self.queue(Job::Replace { tag, snapshot: Box::new(snapshot) });
                self.finish_fetch(tag);
            }
            Err(ApplyFailure) => {
                self.fetch_failed(tag, document);
                self.finish_fetch(tag);
            }
        }
    }

    /// A document that came cannot be read. It is asked for again a few times; then the backfill goes on without it.
    fn fetch_failed(&mut self, tag: Tag, document: DocumentId) {
        self.notice(Notice::DocumentBroken(document));
        let failures = self.unreadable.entry(document).or_default();
        *failures += 1;
        if *failures >= READS_MAX {
            self.wanted.remove(&document);
        } else if let Some(fetch) = self.fetches.remove(&tag) {
            let waiter = Waiter::Fetch(fetch.conversation);
            self.pauses.pause(waiter, self.now.mono_ms, None, &mut self.random);
        }
    }

    /// A Fetch was refused.
    pub(crate) fn fetch_refused(&mut self, tag: Tag, refusal: Refusal) {
        let Some(fetch) = self.fetches.remove(&tag) else { return };
        let at_least_ms = refusal.retry_after_ms;
        if refusal.class() != RefusalClass::Again {
            // The conversation is gone, or about to be: Entries tell. Asking goes on, ever more rarely.
            self.notice(Notice::Refused(Box::new(refusal)));
        }
        let waiter = Waiter::Fetch(fetch.conversation);
        self.pauses.pause(waiter, self.now.mono_ms, at_least_ms, &mut self.random);
    }

    /// Replaces a document by what came.
    pub(crate) fn take_snapshot(&mut self, tag: Tag, snapshot: WholeSnapshot) {
        if !self.current(tag) {
            return;
        }
        let document = snapshot.document;
        if self.fetches[&tag].conversation != document.conversation {
            self.session.broken = true;
            return;
        }
        let upto = snapshot.upto;
        if self.fetches[&tag].gone.get(&document).is_some_and(|gone| upto < *gone) {
            // Read before it went.
            return;
        }
        match unpack(snapshot).filter(|replica| self.is_as_listed(replica)) {
            Some(replica) => {
                self.unreadable.remove(&document);
                self.replace(replica, upto);
                self.wanted.remove(&document);
            }
            None => self.fetch_failed(tag, document),
        }
    }

    /// Documents in the range of a Fetch that are held here and that the hub has not: it sent none.
    pub(crate) fn unanswered(&self, tag: Tag, before: Option<u32>) -> Vec<DocumentId> {
        let Some(fetch) = self.fetches.get(&tag).filter(|_| self.current(tag)) else { return Vec::new() };
        if fetch.imported.is_some() {
            return Vec::new();
        }
        let range = DocumentId::segment(fetch.conversation, 0)..=DocumentId::card(fetch.conversation, u32::MAX);
        let covered = |document: &DocumentId| match document.kind {
            DocumentKind::Segment => {
                document.number >= before.unwrap_or(0) && fetch.before.is_none_or(|end| document.number < end)
            }
            DocumentKind::Card => fetch.before.is_none(),
            DocumentKind::Imported => false,
        };
        let held = self.documents.range(range).filter(|(_, row)| row.digest != Default::default());
        held.map(|(id, _)| *id).filter(|id| covered(id) && !fetch.came.contains(id)).collect()
    }

    /// Everything of a Fetch is taken: the backfill is one step on.
    pub(crate) fn take_fetched(&mut self, tag: Tag, before: Option<u32>) {
        let current = self.current(tag);
        for document in self.unanswered(tag, before) {
            self.replace(Replica::empty(document), Lsn::ZERO);
        }
        let Some(fetch) = self.fetches.remove(&tag) else { return };
        if let Some(document) = fetch.imported {
            // It did not come: it was taken back, and an entry says so.
            self.wanted.remove(&document);
            return self.pauses.clear(&Waiter::Fetch(fetch.conversation));
        }
        let Some(row) = self.backfills.get_mut(&fetch.conversation).filter(|_| current) else { return };
        let goes_on = before.filter(|before| *before > row.floor && fetch.before.is_none_or(|last| *before < last));
        match goes_on {
            Some(before) => {
                row.before = Some(before);
                let row = *row;
                self.write(Write::Backfill(row));
            }
            None => {
                self.backfills.remove(&fetch.conversation);
                self.write(Write::BackfillGone(fetch.conversation));
            }
        }
        self.pauses.clear(&Waiter::Fetch(fetch.conversation));
    }

    /// Puts `new` in the place of a document. Live facts that came after `upto` stay; stamped facts that `new` lacks
    /// become offers; pending facts that it holds are confirmed.
    fn replace(&mut self, mut new: Replica, upto: Lsn) {
        let document = new.document();
        let epoch = self.epoch();
        self.replica(document);
        let old = core::mem::replace(self.replica(document), Replica::empty(document));
        if !self.bug(ClientBug::SnapshotDropsLiveFacts) {
            let live = |row: &Epoch, lsn: Lsn| *row == epoch && lsn > upto;
            for held in old.facts().filter(|held| live(&held.row.epoch, held.row.stamp.lsn)) {
                new.add_fact(held.row.clone());
            }
            for row in old.events().filter(|row| live(&row.epoch, row.stamp.lsn)) {
                new.add_event(row.clone());
            }
        }
        self.offer_lost(&old, Some(&new));
        self.write(Write::DocumentGone(document));
        for held in new.facts() {
            let placed = &held.row.placed;
            if old.fact(placed.actor, placed.seq).is_none() {
                self.note_if_pending(&placed.fact, document, &held.row.stamp);
            }
            self.clock.receive(self.now.wall_ms, held.row.placed.fact.time_ms());
            self.pending.writes.push(Write::Fact(Box::new(held.row.clone())));
        }
        for row in new.events() {
            self.pending.writes.push(Write::Event(Box::new(row.clone())));
        }
        self.pending.meta = true;
        for message in old.subjects().chain(new.subjects()) {
            self.touch(document, Some(message));
        }
        self.touch(document, None);
        new.message_ids().for_each(|message| self.offers.message_stands(message));
        // All of it stands in the log of this epoch's hub, whichever epochs its stamps are of: LSNs alone rank it.
        let generation = self.generation(&epoch);
        let newest_reply = new.newest_reply(|_| generation);
        *self.replica(document) = new;
        self.document(document).newest_reply = newest_reply;
        self.refresh_digest(document);
        self.check_own_chain(document);
    }

    /// After a replacement: pending facts that the document holds are confirmed; an own chain that does not fit it is
    /// abandoned.
    fn check_own_chain(&mut self, document: DocumentId) {
        let replica = &self.replicas[&document].replica;
        let stands = |row: &&crate::row::OutboxRow| {
            replica.fact(row.actor, row.seq).is_some_and(|held| held.row.placed.hash == row.hash)
        };
        let confirmed: Vec<u64> = self.outbox.of(document).filter(stands).map(|row| row.order).collect();
        confirmed.into_iter().for_each(|order| self.drop_fact(order));
        let Some(own) = self.documents.get(&document).and_then(|row| row.own) else { return };
        let heads = self.replicas[&document].replica.heads(self.outbox.of(document));
        let keeps = self.bug(ClientBug::EpochKeepsNonces);
        if heads.get(&own.actor) != Some(&own.head) && !keeps {
            self.forked(document);
        }
    }
}

/// What a part takes in memory, bytes.
fn weight(part: &Snapshot) -> usize {
    let tail = part.tail.iter().map(|row| size_of::<TailEntry>() + row.entry.0.len()).sum::<usize>();
    let table = size_of_val(&*part.table.facts) + size_of_val(&*part.table.events);
    part.bytes.len() + table + tail
}

/// The document that a snapshot means; none if its parts do not fit each other.
fn unpack(snapshot: WholeSnapshot) -> Option<Replica> {
    let WholeSnapshot { document, table, tail, read, .. } = snapshot;
    let mut replica = Replica::empty(document);
    if let Some(AppliedDocument { facts, heads }) = read {
        let stamps: BTreeMap<_, _> =
            table.facts.iter().map(|row| ((row.actor, row.seq), (row.epoch, row.stamp))).collect();
        // One stamp for all facts of an imported segment.
        let announced = table.events.iter().find(|row| matches!(row.body, EntryBody::Imported(_)));
        let announced = announced.map(|row| (row.epoch, row.stamp));
        for fact in facts {
            let (epoch, stamp) = match document.kind {
                DocumentKind::Imported => announced?,
                DocumentKind::Segment | DocumentKind::Card => *stamps.get(&(fact.actor, fact.seq))?,
            };
            let hash = replica.next_hash(fact.actor, &fact.fact)?;
            let placed = PlacedFact {
                document,
                actor: fact.actor,
                seq: fact.seq,
                hash,
                fact: fact.fact,
                opening: None,
                origin: None,
            };
            replica.add_fact(FactRow { epoch: table.epoch(epoch)?, stamp, placed });
        }
        if *replica.chains() != heads {
            return None;
        }
    }
    for row in &table.events {
        replica.add_event(EventRow { epoch: table.epoch(row.epoch)?, stamp: row.stamp, body: row.body.clone() });
    }
    for TailEntry { epoch, entry } in &tail {
        let epoch = table.epoch(*epoch)?;
        let Some(Entry { stamp, body }) = Entry::from_bytes(&entry.0) else { continue };
        match body {
            EntryBody::Fact(placed) if placed.document == document => {
                replica.add_fact(FactRow { epoch, stamp, placed });
            }
            EntryBody::Fact(_) => return None,
            body => {
                replica.add_event(EventRow { epoch, stamp, body });
            }
        }
    }
    Some(replica)
}
