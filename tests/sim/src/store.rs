//! The hub's durable store, as a model: batches are written, then synced; a crash loses what was not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use lockstep_core::audit::{AuditEntry, AuditHead};
use lockstep_core::effect::{Batch, LogEntry, OutsideEvent};
use lockstep_core::hub::{Boot, HubConfig};
use lockstep_core::planted::Planted;
use lockstep_core::query::{Aged, Answer, Query, StoredEntry};
use lockstep_core::row::{
    Class, ConversationRow, DocumentRow, DocumentState, ErasedEntry, IndexRow, Remains, ShredRow, SnapshotRow, Write,
};
use lockstep_core::scan::ScanRow;
use lockstep_protocol::directory::{Device, Member, Policy};
use lockstep_protocol::entry::{HubKey, LogChain};
use lockstep_protocol::fact::KeyId;
use lockstep_protocol::frame::CatalogueDocument;
use lockstep_protocol::id::{
    ConversationId, DeviceId, DocumentId, DocumentKind, Epoch, HubId, Lsn, MemberId, PinnedKeyHash,
};

use lockstep_protocol::keep::Keep;

use crate::rng::Rng;
use crate::words::SimWords;

/// What a disk holds: everything that was synced. A clone of it is a backup.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// Entries above the floor, by LSN.
    pub log: BTreeMap<Lsn, LogEntry>,
    /// Entries above the floor by document.
    by_document: BTreeMap<DocumentId, Vec<Lsn>>,
    /// The newest LSN.
    pub head: Lsn,
    chain: LogChain,
    /// The log chain at the floor: a cursor may stand exactly there.
    floor_chain: LogChain,
    at_ms: u64,
    /// Epochs with the LSN after which each began.
    pub epochs: Vec<(Epoch, Lsn)>,
    /// The retention floor.
    pub floor: Lsn,
    members: BTreeMap<MemberId, Member>,
    devices: BTreeMap<DeviceId, Device>,
    revoked: BTreeSet<DeviceId>,
    seen: BTreeMap<DeviceId, u64>,
    policy: Policy,
    /// Rows of the audit log, from the first.
    pub audit: Vec<AuditEntry>,
    /// Where it ends, as it was told.
    pub audit_head: AuditHead,
    conversations: BTreeMap<ConversationId, ConversationRow>,
    documents: BTreeMap<DocumentId, DocumentState>,
    keys: BTreeMap<(ConversationId, KeyId), IndexRow>,
    snapshots: BTreeMap<DocumentId, SnapshotRow>,
    /// The list of sensitive words.
    pub words: Bytes,
    scan: ScanRow,
    shredded: BTreeMap<ConversationId, ShredRow>,
}

/// The store of one hub.
#[derive(Debug, Default)]
pub struct Store {
    /// What is durable.
    pub disk: Disk,
    /// The small list outside the backup chain.
    pub outside: Vec<OutsideEvent>,
    /// Written, not synced, oldest first.
    written: VecDeque<Batch>,
    /// How many of `written` the running sync covers; none when no sync runs.
    syncing: Option<usize>,
}

/// What the hub's identity and choices are; the same for every start of it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The hub.
    pub hub: HubId,
    /// Its secret.
    pub key: HubKey,
    /// What devices pin.
    pub pinned: PinnedKeyHash,
    /// Its choices.
    pub config: HubConfig,
    /// The planted bug.
    pub planted: Planted,
}

impl Store {
    /// Takes a batch into volatile memory. Answers whether a sync must be started now.
    pub fn write(&mut self, batch: Batch) -> bool {
        self.written.push_back(batch);
        self.start_sync()
    }

    fn start_sync(&mut self) -> bool {
        if self.syncing.is_some() || self.written.is_empty() {
            return false;
        }
        self.syncing = Some(0);
        true
    }

    /// The sync reached the disk: everything written when it ended is durable (group commit). Answers the batches, and
    /// whether another sync must be started.
    pub fn synced(&mut self) -> Vec<Batch> {
        self.syncing = None;
        let batches: Vec<Batch> = self.written.drain(..).collect();
        for batch in &batches {
            self.disk.apply(batch);
            self.outside.extend(batch.outside.iter().cloned());
        }
        batches
    }

    /// Whether something waits for a sync that was not started.
    pub fn needs_sync(&mut self) -> bool {
        self.start_sync()
    }

    /// Batches that are not durable.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.written.len()
    }

    /// Power fails: of the written batches a random prefix of whole ones survives (a torn one is discarded when the
    /// log is read). The list outside may be one batch ahead, it is another file. Answers the survivors.
    pub fn crash(&mut self, rng: &mut Rng) -> Vec<Batch> {
        let kept = rng.index(self.written.len() + 1);
        let mut lost: Vec<Batch> = self.written.drain(..).collect();
        let survivors: Vec<Batch> = lost.drain(..kept).collect();
        for batch in &survivors {
            self.disk.apply(batch);
            self.outside.extend(batch.outside.iter().cloned());
        }
        if let Some(first) = lost.first()
            && rng.chance(500)
        {
            self.outside.extend(first.outside.iter().cloned());
        }
        self.syncing = None;
        survivors
    }

    /// What a hub starts from on this disk.
    #[must_use]
    pub fn boot(&self, identity: &Identity, restored: bool, entropy: [u8; 32]) -> Boot {
        let disk = &self.disk;
        Boot {
            hub: identity.hub,
            key: identity.key.clone(),
            pinned: identity.pinned,
            epochs: disk.epochs.clone(),
            head: disk.head,
            chain: disk.chain,
            at_ms: disk.at_ms,
            floor: disk.floor,
            members: disk.members.clone(),
            devices: disk.devices.clone(),
            revoked: disk.revoked.clone(),
            policy: disk.policy,
            seen: disk.seen.clone(),
            audit: disk.audit_head,
            restored,
            outside: self.outside.clone(),
            words: Arc::new(SimWords),
            scan: disk.scan,
            shredded: disk.shredded.clone(),
            entropy,
            config: identity.config,
            planted: identity.planted,
        }
    }
}

impl Disk {
    fn apply(&mut self, batch: &Batch) {
        for entry in &batch.entries {
            self.log.insert(entry.lsn, entry.clone());
            if let Some(document) = entry.document {
                self.by_document.entry(document).or_default().push(entry.lsn);
            }
        }
        for write in &batch.writes {
            self.write(write);
        }
    }

    fn write(&mut self, write: &Write) {
        match write {
            Write::Head { lsn, chain, at_ms } => {
                self.head = *lsn;
                self.chain = *chain;
                self.at_ms = *at_ms;
            }
            Write::Epoch { epoch, after } => self.epochs.push((*epoch, *after)),
            Write::Floor(floor) => self.drop_to(*floor),
            Write::Member(id, member) => set(&mut self.members, *id, member.as_ref()),
            Write::Device(id, device) => set(&mut self.devices, *id, device.as_ref()),
            Write::Revoked(id, true) => drop(self.revoked.insert(*id)),
            Write::Revoked(id, false) => drop(self.revoked.remove(id)),
            Write::Seen(id, at_ms) => set(&mut self.seen, *id, at_ms.as_ref()),
            Write::Policy(policy) => self.policy = *policy,
            Write::Audit(entry) => self.audit.push(entry.clone()),
            Write::AuditHead(head) => self.audit_head = *head,
            Write::Conversation(row) => {
                self.conversations.insert(row.conversation.id, (**row).clone());
            }
            Write::Document(document, row) => self.documents.entry(*document).or_default().row = *row,
            Write::Chain(document, actor, row) => {
                self.documents.entry(*document).or_default().chains.insert(*actor, *row);
            }
            Write::Key(conversation, key, row) => {
                self.keys.insert((*conversation, *key), (**row).clone());
            }
            Write::Words(list) => self.words = list.clone(),
            Write::Scan(row) => self.scan = *row,
            Write::Reseal(lsn) => {
                if let Some(entry) = self.log.get_mut(lsn) {
                    entry.class = Class::Vault;
                }
            }
            Write::Snapshot(document, row, _) => {
                self.snapshots.insert(*document, row.clone());
            }
            Write::Shred(id, row) => {
                self.shredded.insert(*id, *row);
            }
            Write::DocumentExpired(document, remains) => {
                self.documents.remove(document);
                self.snapshots.remove(document);
                self.by_document.remove(document);
                for key in &remains.keys {
                    self.keys.remove(&(document.conversation, *key));
                }
                for entry in &remains.entries {
                    if let Some(logged) = self.log.get_mut(&entry.lsn) {
                        erase(logged);
                    }
                }
            }
            Write::ConversationGone(id) => {
                self.conversations.remove(id);
                self.documents.retain(|document, _| document.conversation != *id);
                self.snapshots.retain(|document, _| document.conversation != *id);
                self.by_document.retain(|document, _| document.conversation != *id);
                self.keys.retain(|(conversation, _), _| conversation != id);
            }
            Write::DocumentGone(document) => {
                self.documents.remove(document);
                self.snapshots.remove(document);
                self.keys.retain(|_, row| !matches!(row, IndexRow::Fact(row) if row.document == *document));
            }
        }
    }

    /// Erases the bodies of a conversation's entries.
    pub fn erase(&mut self, conversation: ConversationId) {
        self.log.values_mut().filter(|entry| entry.conversation == Some(conversation)).for_each(erase);
    }

    /// Whether anything of a document is left.
    #[must_use]
    pub fn holds_any_of(&self, document: DocumentId) -> bool {
        self.documents.contains_key(&document)
            || self.snapshots.contains_key(&document)
            || self.by_document.get(&document).is_some_and(|lsns| !lsns.is_empty())
            || self.log.values().any(|entry| entry.document == Some(document))
            || self.keys.values().any(|row| matches!(row, IndexRow::Fact(row) if row.document == document))
    }

    /// Whether anything of a conversation is left.
    #[must_use]
    pub fn holds_any_in(&self, conversation: ConversationId) -> bool {
        self.conversations.contains_key(&conversation)
            || self.documents.keys().any(|document| document.conversation == conversation)
            || self.snapshots.keys().any(|document| document.conversation == conversation)
            || self.keys.keys().any(|(of, _)| *of == conversation)
            || self.log.values().any(|entry| entry.conversation == Some(conversation))
    }

    fn drop_to(&mut self, floor: Lsn) {
        if floor <= self.floor {
            return;
        }
        self.floor_chain = self.log.get(&floor).map_or(self.chain, |entry| entry.chain);
        self.floor = floor;
        self.log = self.log.split_off(&floor.next());
        for entries in self.by_document.values_mut() {
            entries.retain(|lsn| *lsn > floor);
        }
    }

    /// The epoch of an entry.
    #[must_use]
    pub fn epoch(&self, lsn: Lsn) -> Epoch {
        let before = self.epochs.iter().rev().find(|(_, after)| *after < lsn);
        before.or(self.epochs.first()).map_or(Epoch::default(), |(epoch, _)| *epoch)
    }

    /// A row of a conversation's index.
    #[must_use]
    pub fn key(&self, conversation: ConversationId, key: KeyId) -> Option<&IndexRow> {
        self.keys.get(&(conversation, key))
    }

    /// Facts in all indexes.
    #[must_use]
    pub fn facts(&self) -> usize {
        self.keys.values().filter(|row| matches!(row, IndexRow::Fact(_))).count()
    }

    /// A document's counters and chains.
    #[must_use]
    pub fn document(&self, document: DocumentId) -> Option<&DocumentState> {
        self.documents.get(&document)
    }

    /// A conversation's row.
    #[must_use]
    pub fn conversation(&self, id: ConversationId) -> Option<&ConversationRow> {
        self.conversations.get(&id)
    }

    /// A document's newest snapshot.
    #[must_use]
    pub fn snapshot(&self, document: DocumentId) -> Option<&SnapshotRow> {
        self.snapshots.get(&document)
    }

    /// A document's entries after one LSN that are still in the log.
    pub fn tail(&self, document: DocumentId, after: Lsn) -> impl Iterator<Item = &LogEntry> {
        let lsns = self.by_document.get(&document).into_iter().flatten();
        lsns.filter(move |lsn| **lsn > after).filter_map(|lsn| self.log.get(lsn))
    }

    /// Reads rows.
    #[must_use]
    pub fn answer(&self, query: &Query) -> Answer {
        match query {
            Query::Conversation(id) => Answer::Conversation(self.conversations.get(id).cloned()),
            Query::Listing { conversation: id, .. } => {
                let mut imported = self.with_content(*id);
                imported.retain(|listed| listed.document.kind == DocumentKind::Imported);
                Answer::Listing { row: self.conversations.get(id).cloned(), imported }
            }
            Query::Document(id) => Answer::Document(self.documents.get(id).cloned()),
            Query::Keys { conversation, keys } => {
                Answer::Keys(keys.iter().map(|key| self.keys.get(&(*conversation, *key)).cloned()).collect())
            }
            Query::Chain { lsn, .. } => Answer::Chain(self.chain_at(*lsn)),
            Query::Log { after, upto, bytes_max, .. } => self.read_log(*after, *upto, *bytes_max),
            Query::Catalogue { after, conversations_max, .. } => self.read_catalogue(*after, *conversations_max),
            Query::Content { document, .. } => {
                let snapshot = self.snapshots.get(document).cloned();
                let after = snapshot.as_ref().map_or(Lsn::ZERO, |row| row.upto);
                let tail = self.tail(*document, after).map(|entry| (self.epoch(entry.lsn), entry.bytes.clone()));
                Answer::Content { tail: tail.collect(), snapshot, upto: self.head }
            }
            Query::Documents { after, documents_max } => {
                let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
                let rows = self.documents.range((from, std::ops::Bound::Unbounded)).map(|(document, _)| *document);
                Answer::Documents(rows.take(*documents_max).collect())
            }
            Query::Ages { after, keep, documents_max } => self.read_ages(*after, *keep, *documents_max),
            Query::Remains(document) => Answer::Remains(Box::new(self.read_remains(*document))),
            Query::Retention { before_ms, documents_max } => self.read_retention(*before_ms, *documents_max),
        }
    }

    fn chain_at(&self, lsn: Lsn) -> Option<LogChain> {
        if lsn == self.floor {
            return Some(self.floor_chain);
        }
        self.log.get(&lsn).map(|entry| entry.chain)
    }

    fn read_log(&self, after: Lsn, upto: Lsn, bytes_max: usize) -> Answer {
        let mut bytes = 0;
        let mut entries = Vec::new();
        for entry in self.log.range(after.next()..).take_while(|(lsn, _)| **lsn <= upto).map(|(_, entry)| entry) {
            if !entries.is_empty() && bytes + entry.bytes.len() > bytes_max {
                break;
            }
            bytes += entry.bytes.len();
            let (lsn, conversation) = (entry.lsn, entry.conversation);
            entries.push(StoredEntry { lsn, bytes: entry.bytes.clone(), conversation });
        }
        let upto = entries.last().map_or(after, |entry| entry.lsn);
        Answer::Log { chain: self.chain_at(upto).unwrap_or(self.chain), upto, entries, read_at: self.head }
    }

    fn read_catalogue(&self, after: Option<ConversationId>, max: usize) -> Answer {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let mut rows = self.conversations.range((from, std::ops::Bound::Unbounded));
        let page: Vec<_> = rows.by_ref().take(max).map(|(id, row)| (row.clone(), self.with_content(*id))).collect();
        Answer::Catalogue { last: rows.next().is_none(), conversations: page }
    }

    fn with_content(&self, conversation: ConversationId) -> Vec<CatalogueDocument> {
        let held = self.documents.range(DocumentId::all_of(conversation)).filter(|(_, state)| !state.chains.is_empty());
        held.map(|(document, state)| CatalogueDocument { document: *document, digest: state.row.digest }).collect()
    }

    fn read_ages(&self, after: Option<DocumentId>, team: Keep, documents_max: usize) -> Answer {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let page: Vec<_> = self.documents.range((from, std::ops::Bound::Unbounded)).take(documents_max).collect();
        let last = page.last().filter(|_| page.len() == documents_max).map(|(document, _)| **document);
        let aged = page.into_iter().filter_map(|(document, state)| {
            let row = self.conversations.get(&document.conversation)?;
            let keep = row.conversation.keep.unwrap_or(team);
            let DocumentRow { ops, oldest_ms, newest_ms, .. } = state.row;
            let is_open = document.kind == DocumentKind::Segment && document.number == row.open_segment;
            let counts = ops > 0 && keep != Keep::FOREVER && document.kind != DocumentKind::Card;
            counts.then_some(Aged { document: *document, keep, is_open, is_stored: true, oldest_ms, newest_ms })
        });
        Answer::Ages { aged: aged.collect(), last }
    }

    fn read_remains(&self, document: DocumentId) -> Remains {
        let is_of = |row: &IndexRow| matches!(row, IndexRow::Fact(row) if row.document == document);
        let rows =
            self.keys.iter().filter(|((conversation, _), row)| *conversation == document.conversation && is_of(row));
        let entries = self.tail(document, Lsn::ZERO);
        Remains {
            newest: self.documents.get(&document).map_or(Lsn::ZERO, |state| state.row.newest),
            keys: rows.map(|((_, key), _)| *key).collect(),
            entries: entries
                .map(|entry| ErasedEntry { lsn: entry.lsn, at_ms: entry.at_ms, chain: entry.chain })
                .collect(),
        }
    }

    fn read_retention(&self, before_ms: u64, documents_max: usize) -> Answer {
        let old = self.log.values().take_while(|entry| entry.at_ms < before_ms);
        let upto = old.last().map_or(self.floor, |entry| entry.lsn);
        let mut uncovered = Vec::new();
        for (document, lsns) in &self.by_document {
            let covered = self.snapshots.get(document).map_or(Lsn::ZERO, |row| row.upto);
            if uncovered.len() < documents_max && lsns.iter().any(|lsn| *lsn > covered && *lsn <= upto) {
                uncovered.push(*document);
            }
        }
        Answer::Retention { upto, uncovered }
    }
}

/// What stays of an entry whose body is erased.
fn erase(entry: &mut LogEntry) {
    entry.bytes = Bytes::new();
    (entry.conversation, entry.document) = (None, None);
}

fn set<K: Ord, V: Clone>(rows: &mut BTreeMap<K, V>, key: K, value: Option<&V>) {
    match value {
        Some(value) => {
            rows.insert(key, value.clone());
        }
        None => {
            rows.remove(&key);
        }
    }
}
