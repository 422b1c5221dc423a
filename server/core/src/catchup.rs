//! Catch-up: a session that lags reads the log at its own speed; one without a good cursor is sent the catalogue; any
//! may fetch documents.

use std::collections::BTreeSet;

use bytes::Bytes;
use lockstep_protocol::directory::Role;
use lockstep_protocol::entry::LogChain;
use lockstep_protocol::frame::{
    Catalogue, CatalogueConversation, CatalogueDocument, EntryBytes, Fetch, HubFrame, Snapshot, TailEntry, Team,
};
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, Epoch, Lsn, MemberId};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::RefusalCode;
use lockstep_protocol::snapshot::Table;

use crate::audit::Asked;
use crate::conversation::{Presence, Slot, Work};
use crate::effect::Effect;
use crate::fanout::Paged;
use crate::hub::{Hub, refused};
use crate::input::SessionId;
use crate::planted::HubBug;
use crate::query::{Query, StoredEntry};
use crate::row::{ConversationRow, SnapshotRow};
use crate::session::{CatalogueJob, FetchJob, Mode, Open, Page, Reading};

/// Fetches of one session that may wait.
const FETCHES_MAX: usize = 16;
/// Bytes of one part of a snapshot.
const PART_BYTES_MAX: usize = 256 * 1024;
/// Table rows of one part: each is at most 128 bytes encoded.
const PART_ROWS_MAX: usize = 2_048;
/// Newest documents listed of one conversation; a device fetches older ones without comparing.
const LISTED_DOCUMENTS_MAX: usize = 8_192;

impl Hub {
    /// Lets a session go on with whatever it waits for, as far as its credit reaches.
    pub(crate) fn pump(&mut self, id: SessionId, effects: &mut Vec<Effect>) {
        let committed = self.log.committed;
        let queue_max = self.config.session_queue_bytes_max;
        let read_max = self.config.log_read_bytes_max.min(limits::LOG_READ_BYTES_MAX);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.unsent_bytes > queue_max / 2 {
            return;
        }
        let Some(open) = session.open_mut() else { return };
        match &mut open.mode {
            Mode::Reading(reading) if reading.page.is_some() => self.try_page(id, effects),
            Mode::Reading(reading) if !reading.loading => {
                if open.position >= committed {
                    open.mode = Mode::Live;
                } else {
                    reading.loading = true;
                    let after = open.position;
                    effects.push(Effect::Load(Query::Log { session: id, after, upto: committed, bytes_max: read_max }));
                }
            }
            Mode::Catalogue(job) if !job.loading => {
                job.loading = true;
                job.access_version = self.access_version;
                let after = job.after;
                let conversations_max = limits::CATALOGUE_CONVERSATIONS_MAX;
                effects.push(Effect::Load(Query::Catalogue { session: id, after, conversations_max }));
            }
            Mode::Live | Mode::Reading(_) | Mode::Catalogue(_) => {}
        }
        self.pump_fetch(id, effects);
    }

    /// A part of the log was read for a session.
    pub(crate) fn log_read(
        &mut self,
        id: SessionId,
        entries: Vec<StoredEntry>,
        upto: Lsn,
        chain: LogChain,
        read_at: Lsn,
        effects: &mut Vec<Effect>,
    ) {
        let floor = self.floor;
        let Some(Open { mode: Mode::Reading(reading), position, .. }) = self.open_mut(id) else { return };
        if !reading.loading {
            return;
        }
        reading.loading = false;
        // Below the retention floor there are holes.
        let has_hole = *position < floor || entries.first().is_some_and(|entry| entry.lsn != position.next());
        if has_hole {
            return self.start_catalogue(id, effects);
        }
        let page = Page { entries, upto, chain, read_at, pinned: BTreeSet::new(), waiting: 0 };
        self.take_page(id, page, effects);
    }

    /// Sends the page that was read, once all its conversations are in memory.
    fn try_page(&mut self, id: SessionId, effects: &mut Vec<Effect>) {
        let Some(Open { mode: Mode::Reading(reading), .. }) = self.open_mut(id) else { return };
        let Some(page) = reading.page.take_if(|page| page.waiting == 0) else { return };
        if page.read_at < self.newest_gone && !self.planted.is(HubBug::StaleReadSent) {
            // Something went after this was read, maybe of this: it is read again.
            for conversation in page.pinned {
                self.unpin(conversation);
            }
            return self.pump(id, effects);
        }
        let paged = self.send_page(id, &page.entries, page.upto, &page.chain, effects);
        if matches!(paged, Paged::Withheld) {
            if let Some(Open { mode: Mode::Reading(reading), .. }) = self.open_mut(id) {
                reading.page = Some(page);
            }
            return;
        }
        for conversation in page.pinned {
            self.unpin(conversation);
        }
        if matches!(paged, Paged::Resync) {
            self.start_catalogue(id, effects);
        }
        self.pump(id, effects);
    }

    /// Takes a page that was read: everything it needs stays until it is sent, or a small memory could load for ever.
    fn take_page(&mut self, id: SessionId, mut page: Page, effects: &mut Vec<Effect>) {
        page.pinned = page.entries.iter().filter_map(|entry| entry.conversation).collect();
        let missing = self.not_in_memory(page.pinned.iter().copied());
        page.waiting = missing.len();
        let pinned = page.pinned.clone();
        if let Some(Open { mode: Mode::Reading(reading), .. }) = self.open_mut(id) {
            reading.page = Some(page);
        }
        for conversation in missing {
            self.enqueue(conversation, Work::Wake(id), effects);
        }
        for conversation in pinned {
            if let Some(slot) = self.conversations.get_mut(&conversation) {
                slot.pins += 1;
            }
        }
        self.try_page(id, effects);
    }

    /// One of the conversations that a session's page needs is there.
    pub(crate) fn woken(&mut self, id: SessionId, effects: &mut Vec<Effect>) {
        if let Some(Open { mode: Mode::Reading(Reading { page: Some(page), .. }), .. }) = self.open_mut(id) {
            page.waiting = page.waiting.saturating_sub(1);
            if page.waiting == 0 {
                self.pump(id, effects);
            }
        }
    }

    /// Sends the session through the catalogue; the log follows from what is durable now.
    pub(crate) fn start_catalogue(&mut self, id: SessionId, effects: &mut Vec<Effect>) {
        let end = self.log.committed_cursor();
        let Some(open) = self.open_mut(id) else { return };
        let pins = match &mut open.mode {
            Mode::Reading(Reading { page: Some(page), .. }) => std::mem::take(&mut page.pinned),
            _ => BTreeSet::new(),
        };
        open.mode = Mode::Catalogue(CatalogueJob { page: 0, after: None, loading: false, access_version: 0, end });
        for conversation in pins {
            self.unpin(conversation);
        }
        self.pump(id, effects);
    }

    /// A page of conversations was read for a session.
    pub(crate) fn catalogue_read(
        &mut self,
        id: SessionId,
        rows: Vec<(ConversationRow, Vec<CatalogueDocument>)>,
        last: bool,
        effects: &mut Vec<Effect>,
    ) {
        let version = self.access_version;
        let Some(open) = self.open_mut(id) else { return };
        let member = open.member;
        let Mode::Catalogue(job) = &mut open.mode else { return };
        if !job.loading {
            return;
        }
        job.loading = false;
        if job.access_version != version {
            // Who may see what changed while the rows were read: read them again.
            return self.pump(id, effects);
        }
        if rows.iter().any(|(row, _)| self.is_withheld(row, member)) {
            // A loss that is not durable yet: neither listed nor left out before it is. The next commit reads again.
            return;
        }
        let Some(Open { mode: Mode::Catalogue(job), .. }) = self.open_mut(id) else { return };
        let (page, end) = (job.page, job.end);
        let team = (page == 0).then(|| Team {
            members: self.access.committed.members.values().cloned().collect(),
            policy: self.access.committed.policy,
            role: self.access.committed.role(member).unwrap_or(Role::Former),
        });
        let mut conversations = Vec::new();
        let mut bytes = team.as_ref().map_or(0, |team| team.members.iter().map(|row| row.name.len() + 16).sum());
        let (mut cut, mut after) = (false, None);
        for (row, documents) in rows {
            let size = 256
                + row.conversation.customer.len()
                + 6 * row.conversation.assigned.len()
                + 40 * row.markers.len()
                + 48 * documents.len().min(LISTED_DOCUMENTS_MAX);
            if bytes > 0 && bytes + size > limits::FRAME_BYTES_MAX / 2 {
                cut = true;
                break;
            }
            bytes += size;
            after = Some(row.conversation.id);
            let visible = match self.conversations.get(&row.conversation.id) {
                Some(slot) if !matches!(slot.presence, Presence::Loading) => self.sees(slot, member),
                _ => self.access.may_see(member, &row.conversation, Some(&row.conversation)),
            };
            if visible {
                conversations.push(listed(&row, documents));
            }
        }
        let is_last = last && !cut;
        let planted_early = self.planted.is(HubBug::CatchUpBeforeSubscribing);
        let planted_blind = self.planted.is(HubBug::VisibilityAtSubscribeOnly);
        let committed = self.log.committed;
        let seen: Vec<ConversationId> = conversations.iter().map(|listed| listed.conversation.id).collect();
        if let Some(open) = self.open_mut(id) {
            if planted_blind {
                open.seen_at_start.get_or_insert_default().extend(seen);
            }
            if is_last {
                open.mode = Mode::Reading(Reading::default());
                open.position = if planted_early { committed } else { end.lsn };
            } else if let Mode::Catalogue(job) = &mut open.mode {
                job.page += 1;
                job.after = after.or(job.after);
            }
        }
        let shredded = is_last.then(|| self.shreds.listed(committed)).flatten();
        let frame = Catalogue { tag: None, page, conversations, team, end: is_last.then_some(end), shredded };
        self.send(id, &HubFrame::Catalogue(frame), effects);
        self.pump(id, effects);
    }

    /// Whether the member is about to lose this conversation by an entry that is not durable yet.
    fn is_withheld(&self, row: &ConversationRow, member: MemberId) -> bool {
        match self.conversations.get(&row.conversation.id) {
            Some(slot) if !matches!(slot.presence, Presence::Loading) => self.loses(slot, member),
            _ => {
                self.access.committed.may_see(member, &row.conversation)
                    && !self.access.sequenced.may_see(member, &row.conversation)
            }
        }
    }

    /// A device asks for a conversation's documents.
    pub(crate) fn fetch(&mut self, slot: &mut Slot, id: SessionId, fetch: Fetch, effects: &mut Vec<Effect>) {
        let unknown = |hub: &mut Self, effects: &mut Vec<Effect>, code: RefusalCode| {
            hub.send(id, &refused(Some(fetch.tag), code.into()), effects);
        };
        if self.seeing_member(slot, id).is_none() {
            let code = RefusalCode::ConversationUnknown;
            self.audit_access_alone(id, Asked::Fetch, fetch.conversation, code, effects);
            return unknown(self, effects, RefusalCode::ConversationUnknown);
        }
        let Some(row) = slot.row() else { return };
        let (kind, end) = match fetch.imported {
            false => (DocumentKind::Segment, row.open_segment + 1),
            true => (DocumentKind::Imported, row.imported),
        };
        let below = fetch.before.map_or(end, |before| before.min(end));
        let lowest = below.saturating_sub(fetch.limit);
        let cards = if fetch.before.is_none() && !fetch.imported { 0..row.open_card + 1 } else { 0..0 };
        let documents = (lowest..below)
            .rev()
            .map(|number| DocumentId { conversation: fetch.conversation, kind, number })
            .chain(cards.map(|number| DocumentId::card(fetch.conversation, number)))
            .collect();
        let Some(open) = self.open_mut(id) else { return };
        if open.fetches.len() >= FETCHES_MAX {
            return unknown(self, effects, RefusalCode::Busy);
        }
        open.fetches.push_back(FetchJob {
            tag: fetch.tag,
            conversation: fetch.conversation,
            documents,
            before: (lowest > 0).then_some(lowest),
            announced: false,
            loading: false,
        });
        slot.pins += 1;
        self.pump_fetch(id, effects);
    }

    /// The answer to a Fetch begins with what the directory says of the conversation, as it is durable, and with the
    /// imported segments that there are: nothing else tells a device of those that came before it saw the conversation.
    pub(crate) fn listing_read(
        &mut self,
        id: SessionId,
        conversation: ConversationId,
        row: Option<ConversationRow>,
        imported: Vec<CatalogueDocument>,
        effects: &mut Vec<Effect>,
    ) {
        let sees = self.conversations.get(&conversation).is_some_and(|slot| self.seeing_member(slot, id).is_some());
        let Some(open) = self.open_mut(id) else { return };
        let Some(job) = open.fetches.front_mut().filter(|job| job.loading && job.conversation == conversation) else {
            return;
        };
        job.loading = false;
        job.announced = true;
        let tag = job.tag;
        match row.filter(|_| sees) {
            Some(row) => {
                let conversations = vec![listed(&row, imported)];
                let frame = Catalogue { tag: Some(tag), page: 0, conversations, team: None, end: None, shredded: None };
                self.send(id, &HubFrame::Catalogue(frame), effects);
            }
            None => self.end_fetch(id, effects),
        }
        self.pump(id, effects);
    }

    /// The session's oldest Fetch is for something that its member may not see any more.
    fn end_fetch(&mut self, id: SessionId, effects: &mut Vec<Effect>) {
        let Some(job) = self.open_mut(id).and_then(|open| open.fetches.pop_front()) else { return };
        self.unpin(job.conversation);
        self.send(id, &refused(Some(job.tag), RefusalCode::ConversationUnknown.into()), effects);
    }

    /// Reads the next document of the session's oldest Fetch, one at a time.
    fn pump_fetch(&mut self, id: SessionId, effects: &mut Vec<Effect>) {
        let queue_max = self.config.session_queue_bytes_max;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.unsent_bytes > queue_max / 2 {
            return;
        }
        let Some(open) = session.open_mut() else { return };
        let Some(job) = open.fetches.front_mut() else { return };
        if job.loading {
            return;
        }
        if !job.announced {
            job.loading = true;
            let conversation = job.conversation;
            return effects.push(Effect::Load(Query::Listing { session: id, conversation }));
        }
        if let Some(document) = job.documents.front() {
            job.loading = true;
            return effects.push(Effect::Load(Query::Content { session: id, document: *document }));
        }
        let (tag, conversation, before) = (job.tag, job.conversation, job.before);
        open.fetches.pop_front();
        self.unpin(conversation);
        self.send(id, &HubFrame::Fetched { tag, conversation, before }, effects);
        self.pump_fetch(id, effects);
    }

    /// A document was read for a session. Whether its member may see it is judged now.
    pub(crate) fn content_read(
        &mut self,
        id: SessionId,
        document: DocumentId,
        snapshot: Option<SnapshotRow>,
        tail: &[(Epoch, Bytes)],
        upto: Lsn,
        effects: &mut Vec<Effect>,
    ) {
        let sees = self.planted.is(HubBug::FetchAnsweredAfterLoss)
            || self
                .conversations
                .get(&document.conversation)
                .is_some_and(|slot| self.seeing_member(slot, id).is_some());
        let is_stale = upto < self.newest_gone && !self.planted.is(HubBug::StaleReadSent);
        let Some(open) = self.open_mut(id) else { return };
        let Some(job) = open.fetches.front_mut().filter(|job| job.loading) else { return };
        if job.documents.front() != Some(&document) {
            return;
        }
        job.loading = false;
        if is_stale {
            // Something went after this was read, maybe this: whoever was told so must not be sent it behind that.
            return self.pump(id, effects);
        }
        job.documents.pop_front();
        let tag = job.tag;
        if sees {
            for part in parts(tag, document, snapshot, tail, upto) {
                self.send(id, &HubFrame::Snapshot(part), effects);
            }
        } else {
            self.end_fetch(id, effects);
        }
        self.pump(id, effects);
    }
}

fn listed(row: &ConversationRow, mut documents: Vec<CatalogueDocument>) -> CatalogueConversation {
    let surplus = documents.len().saturating_sub(LISTED_DOCUMENTS_MAX);
    if surplus > 0 {
        let rank = |kind: DocumentKind| match kind {
            DocumentKind::Imported => 0,
            DocumentKind::Segment => 1,
            DocumentKind::Card => 2,
        };
        documents.sort_unstable_by_key(|listed| (rank(listed.document.kind), listed.document.number));
        documents.drain(..surplus);
    }
    CatalogueConversation {
        conversation: row.conversation.clone(),
        open_segment: row.open_segment,
        open_card: row.open_card,
        newest: row.newest,
        markers: row.markers.clone(),
        documents,
    }
}

/// A document as frames: the parts' bytes, rows and tails are joined by the device.
fn parts(
    tag: u64,
    document: DocumentId,
    snapshot: Option<SnapshotRow>,
    tail: &[(Epoch, Bytes)],
    upto: Lsn,
) -> Vec<Snapshot> {
    let (bytes, mut table) = snapshot.map_or_else(Default::default, |row| (row.bytes, row.table));
    let tail: Vec<TailEntry> = tail
        .iter()
        .map(|(epoch, entry)| TailEntry { epoch: table.epoch_index(*epoch), entry: EntryBytes(entry.clone()) })
        .collect();
    let empty = |part: u32| Snapshot {
        tag,
        document,
        upto,
        part,
        last: false,
        bytes: Vec::new(),
        table: Table::default(),
        tail: Vec::new(),
    };
    let mut parts = vec![Snapshot { table: Table { epochs: table.epochs.clone(), ..Table::default() }, ..empty(0) }];
    let mut next = |fill: &mut dyn FnMut(&mut Snapshot)| {
        let number = u32::try_from(parts.len()).expect("a document has few parts");
        let mut part = empty(number);
        fill(&mut part);
        parts.push(part);
    };
    for chunk in bytes.chunks(PART_BYTES_MAX) {
        next(&mut |part| part.bytes = chunk.to_vec());
    }
    for chunk in table.facts.chunks(PART_ROWS_MAX) {
        next(&mut |part| part.table.facts = chunk.to_vec());
    }
    for chunk in table.events.chunks(PART_ROWS_MAX) {
        next(&mut |part| part.table.events = chunk.to_vec());
    }
    let mut rest = tail.as_slice();
    while !rest.is_empty() {
        let mut size = 0;
        let fitting = rest.iter().take_while(|entry| {
            size += entry.entry.0.len() + 8;
            size <= PART_BYTES_MAX
        });
        let (chunk, later) = rest.split_at(fitting.count().max(1));
        next(&mut |part| part.tail = chunk.to_vec());
        rest = later;
    }
    merge_small(parts)
}

/// Joins neighbouring parts while they fit one: most documents are one frame.
fn merge_small(parts: Vec<Snapshot>) -> Vec<Snapshot> {
    let size = |part: &Snapshot| {
        part.bytes.len()
            + 128 * (part.table.facts.len() + part.table.events.len())
            + part.tail.iter().map(|entry| entry.entry.0.len() + 8).sum::<usize>()
    };
    let mut merged: Vec<Snapshot> = Vec::new();
    for part in parts {
        match merged.last_mut() {
            Some(last) if size(last) + size(&part) <= 2 * PART_BYTES_MAX => {
                last.bytes.extend(part.bytes);
                last.table.facts.extend(part.table.facts);
                last.table.events.extend(part.table.events);
                last.tail.extend(part.tail);
            }
            _ => merged.push(part),
        }
    }
    let last = merged.len() - 1;
    for (number, part) in merged.iter_mut().enumerate() {
        part.part = u32::try_from(number).expect("a document has few parts");
        part.last = number == last;
    }
    merged
}
