//! After an epoch change: what the hub may have lost is offered to it.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::codec;
use lockstep_protocol::entry::{EntryBody, Stamp};
use lockstep_protocol::fact::{Fact, KeyId};
use lockstep_protocol::frame::{DeviceFrame, OfferedEntry, Outcome};
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, Epoch, Lsn, MessageId};
use lockstep_protocol::limits::OFFER_ENTRIES_MAX;
use lockstep_protocol::refusal::{RefusalClass, RefusalCode};

use crate::backoff::Waiter;
use crate::device::Device;
use crate::effect::Notice;
use crate::planted::ClientBug;
use crate::push::Question;
use crate::replica::Replica;
use crate::row::{EventKey, OfferKey, OfferRow, Write};

/// Bytes of one Offer: far below the frame's limit.
const OFFER_BYTES_MAX: usize = 256 * 1024;

/// Offers, and whose conversation they are of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offers {
    rows: BTreeMap<OfferKey, OfferRow>,
    conversations: BTreeMap<ConversationId, BTreeSet<OfferKey>>,
    /// Offers about messages that the hub of this session lacks: another device may yet bring those back.
    waiting: BTreeMap<OfferKey, MessageId>,
    /// Offers that the hub has taken, and up to where the log must be held before they are forgotten here.
    taken: BTreeMap<OfferKey, Lsn>,
}

impl Offers {
    pub(crate) fn insert(&mut self, row: OfferRow) {
        self.waiting.remove(&row.key);
        self.taken.remove(&row.key);
        if let Some(conversation) = row.entry.body.conversation() {
            self.conversations.entry(conversation).or_default().insert(row.key);
            self.rows.insert(row.key, row);
        }
    }

    /// Whether anything is kept for the hub of a conversation.
    pub(crate) fn holds(&self, conversation: ConversationId) -> bool {
        self.conversations.contains_key(&conversation)
    }

    /// Whether an offer for the conversation is to be made.
    fn ready(&self, conversation: ConversationId) -> bool {
        self.conversations.get(&conversation).is_some_and(|keys| keys.iter().any(|key| self.is_open(key)))
    }

    /// Whether an offer is to be made: the hub has neither taken it nor lacks what it is about.
    fn is_open(&self, key: &OfferKey) -> bool {
        !self.waiting.contains_key(key) && !self.taken.contains_key(key)
    }

    /// The hub has taken an offer: it is kept until the log is held up to where it tells of it.
    fn take(&mut self, key: OfferKey, upto: Lsn) {
        if self.rows.contains_key(&key) {
            self.taken.insert(key, upto);
        }
    }

    /// The hub has a message: what is about it may be offered again.
    pub(crate) fn message_stands(&mut self, message: MessageId) {
        self.waiting.retain(|_, target| *target != message);
    }

    /// The hub has an imported segment, whose messages may not be held here: what is about any message of the
    /// conversation may be offered again.
    pub(crate) fn import_stands(&mut self, conversation: ConversationId) {
        if let Some(keys) = self.conversations.get(&conversation) {
            self.waiting.retain(|key, _| !keys.contains(key));
        }
    }

    /// Another session, or a catalogue: everything left may be offered again.
    pub(crate) fn reopen(&mut self) {
        self.waiting.clear();
        self.taken.clear();
    }

    fn remove(&mut self, key: &OfferKey) -> Option<OfferRow> {
        self.waiting.remove(key);
        self.taken.remove(key);
        let row = self.rows.remove(key)?;
        if let Some(conversation) = row.entry.body.conversation()
            && let Some(keys) = self.conversations.get_mut(&conversation)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.conversations.remove(&conversation);
            }
        }
        Some(row)
    }
}

impl Device {
    /// The hub is in a new epoch: every chain is abandoned. Pending facts wait until their conversation is settled.
    pub(crate) fn begin_epoch(&mut self, epoch: Epoch) {
        let first = self.meta.epochs.is_empty();
        self.meta.epochs.retain(|known| *known != epoch);
        self.meta.epochs.push(epoch);
        self.pending.meta = true;
        if first {
            return;
        }
        self.notice(Notice::EpochChanged(epoch));
        if self.bug(ClientBug::EpochKeepsNonces) {
            return;
        }
        for (id, row) in &mut self.documents {
            if row.own.take().is_some() {
                self.pending.documents.insert(*id);
            }
        }
        self.note_stale();
    }

    /// Whether the hub may still take offers.
    pub(crate) fn has_offers(&self) -> bool {
        self.offers.conversations.keys().any(|conversation| self.has_offers_for(*conversation))
    }

    /// Whether the hub may still take offers for a conversation.
    pub(crate) fn has_offers_for(&self, conversation: ConversationId) -> bool {
        self.offers.ready(conversation) && self.offerable(conversation)
    }

    /// Only what the hub lists can be offered; the rest is kept until it does.
    fn offerable(&self, conversation: ConversationId) -> bool {
        let listed = self.conversations.get(&conversation).is_some_and(|row| !row.lost);
        listed && !self.unofferable.contains(&conversation)
    }

    /// Makes offers of everything stamped in `old` that `new` lacks, by key: the hub may have it under another hash.
    pub(crate) fn offer_lost(&mut self, old: &Replica, new: Option<&Replica>) {
        // An imported segment has no entries to offer: whoever imported it does so again.
        if self.bug(ClientBug::OfferForgotten) || old.document().kind == DocumentKind::Imported {
            return;
        }
        let keys: BTreeSet<KeyId> = new.into_iter().flat_map(Replica::facts).map(key).collect();
        let facts = old.facts().filter(|held| !keys.contains(&key(held)));
        let facts = facts.map(|held| (held.row.epoch, held.row.stamp, EntryBody::Fact(held.row.placed.clone())));
        let missing = |row: &&crate::row::EventRow| {
            EventKey::of(&row.body).is_some_and(|key| new.is_none_or(|new| !new.has_event(&key)))
        };
        let events = old.events().filter(missing).map(|row| (row.epoch, row.stamp, row.body.clone()));
        for (epoch, stamp, body) in facts.chain(events).collect::<Vec<_>>() {
            self.offer(epoch, stamp, body);
        }
    }

    fn offer(&mut self, epoch: Epoch, stamp: Stamp, body: EntryBody) {
        let key = OfferKey { generation: self.generation(&self.epoch()), lsn: stamp.lsn, epoch };
        let row = OfferRow { key, entry: OfferedEntry { epoch, stamp, body } };
        self.write(Write::Offer(Box::new(row.clone())));
        self.offers.insert(row);
    }

    /// The hub of the new epoch does not list a conversation: it is hidden, its stamped entries are kept as offers.
    pub(crate) fn lose(&mut self, conversation: ConversationId) {
        if self.conversations.get(&conversation).is_some_and(|row| row.lost) {
            return;
        }
        self.drop_unsent(conversation, RefusalCode::ConversationUnknown.number());
        self.stale.remove(&conversation);
        if self.backfills.remove(&conversation).is_some() {
            self.write(Write::BackfillGone(conversation));
        }
        self.conversation_row(conversation).lost = true;
        self.close_view(conversation);
        self.notice(Notice::ConversationGone(conversation));
        self.queue_lost(conversation);
    }

    /// Queues the documents of a lost conversation.
    pub(crate) fn queue_lost(&mut self, conversation: ConversationId) {
        self.wanted.retain(|document| document.conversation != conversation);
        let documents: Vec<_> = self.documents.range(DocumentId::all_of(conversation)).map(|(id, _)| *id).collect();
        if documents.is_empty() {
            self.conversations.remove(&conversation);
            self.write(Write::Forget(conversation));
        }
        self.lost.extend(documents);
    }

    /// One document of a lost conversation: its stamped entries become offers, and it is deleted.
    pub(crate) fn take_lost(&mut self, document: DocumentId) {
        let conversation = document.conversation;
        let lost = self.conversations.get(&conversation).is_some_and(|row| row.lost);
        if !lost || !self.documents.contains_key(&document) {
            return;
        }
        self.documents.remove(&document);
        if let Some(loaded) = self.replicas.remove(&document) {
            self.offer_lost(&loaded.replica, None);
        }
        self.write(Write::DocumentGone(document));
        if self.documents.range(DocumentId::all_of(conversation)).next().is_none() {
            self.conversations.remove(&conversation);
            self.write(Write::Forget(conversation));
        }
    }

    /// What was kept of a conversation for the hub is deleted with it when the right to see it ends.
    pub(crate) fn drop_offers(&mut self, conversation: ConversationId) {
        let keys = self.offers.conversations.get(&conversation).cloned().unwrap_or_default();
        keys.iter().for_each(|key| self.forget_offer(key));
    }

    /// Offers what may be offered: one frame at a time, in the order in which the hub had it.
    pub(crate) fn send_offers(&mut self) {
        let asked = self.questions.values().any(|question| matches!(question, Question::Offer(_)));
        if asked || self.pauses.waits(&Waiter::Offer, self.now.mono_ms) || self.cursor_lsn().is_none() {
            return;
        }
        let ready = |row: &&OfferRow| {
            let conversation = row.entry.body.conversation();
            conversation.is_some_and(|id| self.offerable(id) && !self.backfills.contains_key(&id))
                && self.offers.is_open(&row.key)
        };
        let mut bytes = 0;
        let mut entries = Vec::new();
        let mut keys = Vec::new();
        for row in self.offers.rows.values().filter(ready).take(OFFER_ENTRIES_MAX) {
            bytes += codec::encode(&row.entry).len();
            if bytes > OFFER_BYTES_MAX && !keys.is_empty() {
                break;
            }
            keys.push(row.key);
            entries.push(row.entry.clone());
        }
        if !keys.is_empty() {
            let tag = self.tag();
            self.questions.insert(tag, Question::Offer(keys));
            self.send(&DeviceFrame::Offer { tag, entries });
        }
    }

    /// The hub's answers to an Offer, in its order.
    pub(crate) fn offer_answered(&mut self, keys: Vec<OfferKey>, results: Vec<Outcome>, witness: Lsn) {
        for (key, result) in keys.into_iter().zip(results) {
            if let Outcome::Refused(refusal) = &result {
                if refusal.class() == RefusalClass::Again {
                    self.pauses.pause(Waiter::Offer, self.now.mono_ms, refusal.retry_after_ms, &mut self.random);
                    break;
                }
                let Some(row) = self.offers.rows.get(&key) else { continue };
                let (stamp, conversation) = (row.entry.stamp, row.entry.body.conversation());
                if let (Some(RefusalCode::TargetUnknown), Some(target)) = (refusal.known(), target(&row.entry.body)) {
                    self.offers.waiting.insert(key, target);
                    continue;
                }
                self.notice(Notice::OfferRefused { stamp, code: refusal.code });
                if refusal.known() == Some(RefusalCode::ConversationUnknown) {
                    self.unofferable.extend(conversation);
                    continue;
                }
            }
            self.pauses.clear(&Waiter::Offer);
            match result {
                Outcome::Refused(_) => self.forget_offer(&key),
                Outcome::Readmitted(lsn) => self.offers.take(key, lsn),
                _ => self.offers.take(key, witness),
            }
        }
        self.forget_taken();
    }

    /// Forgets the offers whose entries are held again. A hub that is restored once more would lack them otherwise.
    pub(crate) fn forget_taken(&mut self) {
        let Some(cursor) = self.cursor_lsn() else { return };
        let held = self.offers.taken.iter().filter(|(_, upto)| **upto <= cursor).map(|(key, _)| *key);
        for key in held.collect::<Vec<_>>() {
            self.forget_offer(&key);
        }
    }

    fn forget_offer(&mut self, key: &OfferKey) {
        if self.offers.remove(key).is_some() {
            self.write(Write::OfferGone(*key));
        }
    }
}

/// The message that an offered entry is about.
fn target(body: &EntryBody) -> Option<MessageId> {
    match body {
        EntryBody::Fact(placed) => placed.fact.target(),
        body => EventKey::of(body).map(|key| key.message()),
    }
}

fn key(held: &crate::replica::HeldFact) -> KeyId {
    let fact: &Fact = &held.row.placed.fact;
    fact.key_id()
}
