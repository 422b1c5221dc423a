//! A look at everything: every row is opened and read, the log's chain is computed anew, and rows that the log tells of
//! are held against it.
//!
//! What it finds beyond rows that do not open: entries of the log that are missing, were exchanged, or come from another
//! past of this hub; rows that are missing, or older than the log; rows under another's data key. What it cannot find: that
//! log and rows together were put back to what they were once. Devices find that: their cursors are ahead of the log, and
//! the hub begins a new epoch.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_core::row::{ChainRow, ConversationRow, DocumentRow, IndexRow, ShredRow, SnapshotRow};
use lockstep_core::scan::ScanRow;
use lockstep_protocol::directory::{Device, Member, Policy};
use lockstep_protocol::document::saved_facts;
use lockstep_protocol::entry::{Category, Delivery, Entry, EntryBody, HubKey, LogChain, Resolution};
use lockstep_protocol::fact::KeyId;
use lockstep_protocol::id::{ActorId, ConversationId, DocumentId, DocumentKind, Epoch, Lsn, MessageId};
use lockstep_seal::{Class, DataKeyId, RecordError, record};

use super::audit;
use super::index::Index;
use super::keys::{self, DirectoryKey, Family, Meta};
use super::read::{Reader, epoch_of};
use super::record::{Floor, Head, LogRecord, decode_epoch, decode_snapshot};
use super::reseal::owner_of;
use super::seal::{Owner, Place};
use super::{StoreError, decode, is_epoch};

/// Damaged rows that are named; of more it is only known how many.
const NAMED_MAX: usize = 1_000;
/// Rows between two words about the progress.
const PROGRESS_ROWS: u64 = 10_000;

/// What was found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Rows looked at.
    pub rows: u64,
    /// Entries of the log whose place in the chain is proven; none without the hub's key.
    pub entries: u64,
    /// Entries of the log whose body was erased: the chain beside them is taken as it stands.
    pub erased: u64,
    /// Rows whose data key was destroyed.
    pub shredded: u64,
    /// Damaged or missing rows.
    pub damaged: u64,
    /// The first of them.
    pub damage: Vec<StoreError>,
}

impl Verdict {
    /// Takes note of damage; other trouble ends the look.
    fn note(&mut self, error: StoreError) -> Result<(), StoreError> {
        match error {
            StoreError::Shredded { .. } => self.shredded += 1,
            StoreError::Corrupt { .. } => {
                self.damaged += 1;
                if self.damage.len() < NAMED_MAX {
                    self.damage.push(error);
                }
            }
            other => return Err(other),
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// Looks at everything. With the hub's key also at the log's chain and at every stamp. `progress` hears the number of
    /// rows now and then.
    ///
    /// # Errors
    /// `Engine`: the disk, not what is on it.
    pub fn verify(&self, key: Option<&HubKey>, progress: &mut dyn FnMut(u64)) -> Result<Verdict, StoreError> {
        // What cannot be read is told of where it stands.
        let gone = self.shredded().unwrap_or_default().into_keys().collect();
        let mut look =
            Look { reader: self, key, verdict: Verdict::default(), told: Told::default(), later: Vec::new(), gone };
        for family in Family::ALL {
            look.family(family, progress)?;
        }
        look.hold_against_the_log()?;
        for error in std::mem::take(&mut look.later) {
            look.verdict.note(error)?;
        }
        Ok(look.verdict)
    }
}

/// What the log says of other rows.
#[derive(Default)]
struct Told {
    /// The newest entry of a fact, by conversation.
    conversations: BTreeMap<ConversationId, Lsn>,
    /// The newest entry by document.
    documents: BTreeMap<DocumentId, Lsn>,
    /// The newest place by chain.
    chains: BTreeMap<(DocumentId, ActorId), u32>,
    messages: BTreeMap<(ConversationId, KeyId), Became>,
    /// Entries that belong to a document.
    tails: u64,
}

impl Told {
    fn chain(&mut self, document: DocumentId, actor: ActorId, seq: u32) {
        let newest = self.chains.entry((document, actor)).or_default();
        *newest = seq.max(*newest);
    }

    fn became(&mut self, document: DocumentId, message: MessageId) -> &mut Became {
        self.messages.entry((document.conversation, KeyId::from(message))).or_default()
    }
}

/// What became of a message.
#[derive(Default)]
struct Became {
    delivery: Option<Delivery>,
    resolution: Option<Resolution>,
    sensitive: BTreeSet<Category>,
}

/// Where the walk along the log stands.
struct Walk {
    lsn: Lsn,
    /// None behind an entry that cannot be read.
    chain: Option<LogChain>,
}

struct Look<'a, 's> {
    reader: &'a Reader<'s>,
    key: Option<&'a HubKey>,
    verdict: Verdict,
    told: Told,
    /// Found by comparing rows: told after what the rows themselves show.
    later: Vec<StoreError>,
    /// Shredded conversations: what the log still says of them, until it is erased, stands nowhere else.
    gone: BTreeSet<ConversationId>,
}

impl Look<'_, '_> {
    fn family(&mut self, family: Family, progress: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
        let reader = self.reader;
        let mut index = Index::new(reader).ok();
        let (floor, head) = (reader.floor().unwrap_or_default(), reader.head().ok());
        // Below a floor that cannot be read nothing is known.
        let mut walk = Walk { lsn: floor.lsn, chain: Some(floor.chain) };
        let epochs = reader.epochs().unwrap_or_default();
        let (mut sequence, mut tails) = (0, 0);
        let looked = reader.stored_rows(family, &[], |_, key, stored| {
            self.verdict.rows += 1;
            if self.verdict.rows.is_multiple_of(PROGRESS_ROWS) {
                progress(self.verdict.rows);
            }
            let place = Place { family, key };
            let value = reader.open(place, stored).and_then(|value| {
                self.check_owner(place, stored, &value)?;
                Ok(value)
            });
            let checked = match (family, value) {
                (Family::Log, value) => {
                    return self.log(&mut walk, (floor, head), &epochs, place, value).map(|()| true);
                }
                (Family::Tails, _) => {
                    let lsn = keys::document_of(key).and_then(|_| keys::lsn_of(key));
                    let is_row = key.len() == keys::DOCUMENT_BYTES + 8 && stored.is_empty();
                    tails += u64::from(is_row && lsn.is_some_and(|lsn| lsn > floor.lsn));
                    if is_row { Ok(()) } else { Err(StoreError::corrupt(place, "no row of a tail")) }
                }
                (_, Err(error)) => Err(error),
                (Family::Audit, Ok(value)) => {
                    let before = std::mem::replace(&mut sequence, keys::lsn_of(key).map_or(0, |lsn| lsn.0));
                    match audit::decode(sequence, &value) {
                        None => Err(StoreError::corrupt(place, "no row of the audit log")),
                        Some(_) if sequence != before + 1 => {
                            Err(StoreError::corrupt(place, "the row before it is missing"))
                        }
                        Some(_) => Ok(()),
                    }
                }
                (Family::Keys, Ok(value)) => match &mut index {
                    Some(index) => index.complete(key, &value).and_then(|row| self.became(place, floor.lsn, &row)),
                    None => Ok(()),
                },
                (_, Ok(value)) => self.row(place, &value),
            };
            if let Err(error) = checked {
                self.verdict.note(error)?;
            }
            Ok(true)
        });
        if let Err(error) = looked {
            self.verdict.note(error)?;
        }
        match family {
            Family::Log => self.log_end(&walk, head)?,
            Family::Tails if tails != self.told.tails => self.stray_tails(floor.lsn)?,
            _ => {}
        }
        Ok(())
    }

    /// A row is sealed under the data key of whom it belongs to.
    fn check_owner(&self, place: Place<'_>, stored: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let Ok(header) = record::header(stored) else { return Ok(()) };
        let owner = owner_of(place, value)?;
        match self.reader.data_key_of(owner, header.class) {
            Some(id) if id == header.key => Ok(()),
            _ => Err(StoreError::corrupt(place, "sealed under a data key that `data_keys` gives to somebody else")),
        }
    }

    /// A row that is looked at by itself.
    fn row(&mut self, place: Place<'_>, value: &[u8]) -> Result<(), StoreError> {
        let damaged = |what| StoreError::corrupt(place, what);
        let Place { family, key } = place;
        match family {
            Family::Meta => {
                let is_row = match key {
                    key if key == Meta::Format.key() => value.len() == 4,
                    key if key == Meta::Hub.key() => value.len() == 16,
                    key if key == Meta::Head.key() => Head::decode(value).is_some(),
                    key if key == Meta::Floor.key() => Floor::decode(value).is_some(),
                    key if key == Meta::Audit.key() => audit::decode_head(value).is_some(),
                    key if key == Meta::Outside.key() => value.len() == 8,
                    key if key == Meta::Scan.key() => decode::<ScanRow>(place, value).map(|_| true)?,
                    key if is_epoch(key) => decode_epoch(value).is_some(),
                    _ => false,
                };
                if is_row { Ok(()) } else { Err(damaged("no row of meta")) }
            }
            Family::DataKeys => {
                let id = keys::data_key_of(key).and_then(|_| value.try_into().ok()).map(DataKeyId);
                let id = id.ok_or_else(|| damaged("no data key"))?;
                match self.reader.knows(id) {
                    Ok(()) => Ok(()),
                    Err(error) => Err(StoreError::unreadable(place, error)),
                }
            }
            Family::Directory => match DirectoryKey::from_bytes(key) {
                Some(DirectoryKey::Member(_)) => decode::<Member>(place, value).map(drop),
                Some(DirectoryKey::Device(_)) => decode::<Device>(place, value).map(drop),
                Some(DirectoryKey::Policy) => decode::<Policy>(place, value).map(drop),
                Some(DirectoryKey::Words) => Ok(()),
                Some(DirectoryKey::Seen(_)) => decode::<u64>(place, value).map(drop),
                Some(DirectoryKey::Revoked(_)) => decode::<()>(place, value),
                Some(DirectoryKey::Shred(_)) => decode::<ShredRow>(place, value).map(drop),
                None => Err(damaged("no directory key")),
            },
            Family::Conversations => decode::<ConversationRow>(place, value).map(drop),
            Family::Documents => {
                let row: DocumentRow = decode(place, value)?;
                if row.covered > Lsn::ZERO {
                    self.must_have(Family::Snapshots, key, "missing, and its document's row says that there is one")?;
                }
                if row.ops > 0 {
                    let mut has_chain = false;
                    self.reader.stored_rows(Family::Chains, key, |_, found, _| {
                        has_chain = found.starts_with(key);
                        Ok(false)
                    })?;
                    if !has_chain {
                        let what = "no chain of this document is there, and its row says that it has some";
                        self.later.push(StoreError::corrupt(Place { family: Family::Chains, key }, what));
                    }
                }
                Ok(())
            }
            Family::Chains => decode::<ChainRow>(place, value).map(drop),
            Family::Snapshots => {
                let snapshot = decode_snapshot(value).ok_or_else(|| damaged("no snapshot"))?;
                let document = keys::document_of(key).ok_or_else(|| damaged("no document in the key"))?;
                self.facts_of(document, &snapshot)?;
                // A row of the document that cannot be read is told of where it stands.
                let Ok(row) = self.reader.get(Family::Documents, key) else { return Ok(()) };
                let Some(row) = row else {
                    let what = "missing, and there is a snapshot of its document";
                    self.later.push(StoreError::corrupt(Place { family: Family::Documents, key }, what));
                    return Ok(());
                };
                match decode::<DocumentRow>(place, &row).is_ok_and(|row| row.covered > snapshot.upto) {
                    true => Err(damaged("older than its document's row says")),
                    false => Ok(()),
                }
            }
            Family::Log | Family::Tails | Family::Keys | Family::Audit => Ok(()),
        }
    }

    /// What a snapshot says of other rows: that of each of its facts, and that of each of its chains.
    fn facts_of(&mut self, document: DocumentId, snapshot: &SnapshotRow) -> Result<(), StoreError> {
        // Whether it can be rebuilt is a matter of compaction.
        let Ok(facts) = saved_facts(document.kind, &snapshot.bytes) else { return Ok(()) };
        for (placed, _) in facts {
            self.told.chain(document, placed.actor, placed.seq);
            let key = keys::index(document.conversation, placed.fact.key_id());
            self.must_have(Family::Keys, &key, "missing, and its fact is in a snapshot")?;
        }
        Ok(())
    }

    /// An entry of the log, in its order.
    fn log(
        &mut self,
        walk: &mut Walk,
        (floor, head): (Floor, Option<Head>),
        epochs: &[(Epoch, Lsn)],
        place: Place<'_>,
        value: Result<std::borrow::Cow<'_, [u8]>, StoreError>,
    ) -> Result<(), StoreError> {
        let damaged = |what| StoreError::corrupt(place, what);
        let Some(lsn) = keys::lsn_of(place.key).filter(|_| place.key.len() == 8) else {
            return self.verdict.note(damaged("no LSN in the key"));
        };
        if lsn <= floor.lsn {
            return self.verdict.note(damaged("it lies below the retention floor"));
        }
        if head.is_some_and(|head| lsn > head.lsn) {
            return self.verdict.note(damaged("the log should end before it"));
        }
        if lsn > walk.lsn.next() {
            self.missing_entries(walk.lsn.next(), lsn)?;
            walk.chain = None;
        }
        walk.lsn = lsn;
        let before = walk.chain.take();
        let value = match value {
            Ok(value) => value,
            Err(error) => return self.verdict.note(error),
        };
        let record = LogRecord::decode(&value);
        if let Some(erased) = record.as_ref().filter(|record| record.is_erased()) {
            self.verdict.erased += 1;
            walk.chain = erased.chain;
            return Ok(());
        }
        let entry = record.as_ref().and_then(|record| Entry::from_bytes(&record.entry));
        let Some((record, entry)) = record.zip(entry) else {
            return self.verdict.note(damaged("no entry of the log"));
        };
        walk.chain = record.chain;
        if entry.stamp.lsn != lsn {
            return self.verdict.note(damaged("another entry of the log"));
        }
        if let Some(key) = self.key {
            let follows = before.is_none_or(|before| Some(before.after(key, &record.entry)) == record.chain);
            if !follows {
                let what =
                    "it does not follow from the entries before it: it, or one of them, was put there from elsewhere";
                return self.verdict.note(damaged(what));
            }
            if !entry.stamp.verify(key, &epoch_of(epochs, lsn), &entry.body.mac_bytes()) {
                return self.verdict.note(damaged("its stamp is not of the epoch that meta says"));
            }
            self.verdict.entries += u64::from(before.is_some());
        }
        match record.conversation {
            Some(id) if self.gone.contains(&id) => Ok(()),
            _ => self.tell(lsn, &record, entry.body),
        }
    }

    fn missing_entries(&mut self, from: Lsn, to: Lsn) -> Result<(), StoreError> {
        let named = to.0.min(from.0.saturating_add(NAMED_MAX as u64));
        self.verdict.damaged += to.0.saturating_sub(named);
        for lsn in from.0..named {
            let key = lsn.to_be_bytes();
            self.verdict.note(StoreError::corrupt(Place { family: Family::Log, key: &key }, "missing from the log"))?;
        }
        Ok(())
    }

    /// What an entry says of other rows.
    fn tell(&mut self, lsn: Lsn, record: &LogRecord, body: EntryBody) -> Result<(), StoreError> {
        if let Some(document) = record.document {
            self.told.tails += 1;
            self.told.documents.insert(document, lsn);
            let key = keys::tail(document, lsn);
            self.must_have(Family::Tails, &key, "missing, and its entry is in the log")?;
        }
        match body {
            EntryBody::Fact(placed) => {
                let conversation = placed.document.conversation;
                self.told.conversations.insert(conversation, lsn);
                self.told.chain(placed.document, placed.actor, placed.seq);
                let key = keys::index(conversation, placed.fact.key_id());
                self.must_have(Family::Keys, &key, "missing, and its fact is in the log")?;
            }
            EntryBody::Delivered { document, message, delivery } => {
                self.told.became(document, message).delivery = Some(delivery);
            }
            EntryBody::Resolved { document, message, resolution } => {
                self.told.became(document, message).resolution = Some(resolution);
            }
            EntryBody::Sensitive { document, message, category } => {
                self.told.became(document, message).sensitive.insert(category);
            }
            _ => {}
        }
        Ok(())
    }

    fn must_have(&mut self, family: Family, key: &[u8], what: &'static str) -> Result<(), StoreError> {
        if !self.reader.has(family, key)? {
            self.later.push(StoreError::corrupt(Place { family, key }, what));
        }
        Ok(())
    }

    /// The log ends where the store says.
    fn log_end(&mut self, walk: &Walk, head: Option<Head>) -> Result<(), StoreError> {
        // One that cannot be read is told of where it stands.
        let Some(head) = head else { return Ok(()) };
        let key = walk.lsn.0.to_be_bytes();
        let newest = Place { family: Family::Log, key: &key };
        if walk.lsn < head.lsn {
            return self.missing_entries(walk.lsn.next(), head.lsn.next());
        }
        match walk.chain {
            Some(chain) if chain != head.chain => {
                self.verdict.note(StoreError::corrupt(newest, "the log does not end where it should"))
            }
            _ => Ok(()),
        }
    }

    /// What is stored of a message is what the log says of it.
    fn became(&self, place: Place<'_>, floor: Lsn, row: &IndexRow) -> Result<(), StoreError> {
        let IndexRow::Fact(row) = row else { return Ok(()) };
        let Some(message) = &row.message else { return Ok(()) };
        let id = keys::index_of(place.key).ok_or_else(|| StoreError::corrupt(place, "no key of an index"))?;
        let Became { delivery, resolution, sensitive } = match self.told.messages.get(&id) {
            Some(became) => became,
            None => &Became::default(),
        };
        // Above the floor all of it is in the log.
        let is_whole = row.stamp.lsn > floor;
        let fits = (delivery.is_none() && !is_whole || *delivery == message.delivery)
            && (resolution.is_none() && !is_whole || *resolution == message.resolution)
            && sensitive.iter().all(|category| message.sensitive.contains(category));
        if fits { Ok(()) } else { Err(StoreError::corrupt(place, "older than the log, or changed")) }
    }

    /// Rows that the log tells of are there, and not older.
    fn hold_against_the_log(&mut self) -> Result<(), StoreError> {
        let told = std::mem::take(&mut self.told);
        for (id, lsn) in told.conversations {
            self.held(Family::Conversations, &id.0, |row: ConversationRow| row.newest >= lsn)?;
        }
        for (id, lsn) in told.documents {
            // Imported segments go with their import; what the log says of them stays.
            if id.kind != DocumentKind::Imported {
                self.held(Family::Documents, &keys::document(id), |row: DocumentRow| row.newest >= lsn)?;
            }
        }
        for ((document, actor), seq) in told.chains {
            self.held(Family::Chains, &keys::chain(document, actor), |row: ChainRow| row.head.seq >= seq)?;
        }
        Ok(())
    }

    fn held<T: for<'b> minicbor::Decode<'b, ()>>(
        &mut self,
        family: Family,
        key: &[u8],
        fits: impl FnOnce(T) -> bool,
    ) -> Result<(), StoreError> {
        let place = Place { family, key };
        // What cannot be read is told of already.
        let Ok(value) = self.reader.get(family, key) else { return Ok(()) };
        let Some(value) = value else {
            self.later.push(StoreError::corrupt(place, "missing, and the log tells of it"));
            return Ok(());
        };
        if decode(place, &value).is_ok_and(|row| !fits(row)) {
            self.later.push(StoreError::corrupt(place, "older than the log"));
        }
        Ok(())
    }

    /// Rows of `tails` whose entry is not in the log.
    fn stray_tails(&mut self, floor: Lsn) -> Result<(), StoreError> {
        let mut stray = Vec::new();
        let reader = self.reader;
        reader.stored_rows(Family::Tails, &[], |_, key, _| {
            let (document, lsn) = (keys::document_of(key), keys::lsn_of(key));
            if let (Some(document), Some(lsn)) = (document, lsn.filter(|lsn| *lsn > floor)) {
                // An entry that cannot be read is told of where it stands.
                let is_its =
                    reader.log_record(lsn).map(|record| record.is_some_and(|found| found.document == Some(document)));
                if let Ok(false) = is_its {
                    stray
                        .push(StoreError::corrupt(Place { family: Family::Tails, key }, "its entry is not in the log"));
                }
            }
            Ok(true)
        })?;
        self.later.append(&mut stray);
        Ok(())
    }
}

impl Reader<'_> {
    fn data_key_of(&self, owner: Owner, class: Class) -> Option<DataKeyId> {
        self.store().data_key_known(owner, class)
    }

    fn knows(&self, id: DataKeyId) -> Result<(), RecordError> {
        self.store().keychain().ring().key(id).map(drop)
    }
}
