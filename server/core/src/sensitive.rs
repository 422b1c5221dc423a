//! Sensitive words: a fact that holds one is stored under the stricter keys, and its message carries a mark. DESIGN
//! section 8.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;

use lockstep_protocol::entry::{Category, EntryBody, Stamp};
use lockstep_protocol::fact::{Fact, KeyId, Message};
use lockstep_protocol::id::{DocumentId, DocumentKind, Lsn, MemberId, MessageId};

use crate::conversation::Slot;
use crate::hub::Hub;
use crate::log::{Author, Draft};
use crate::planted::HubBug;
use crate::row::{Class, Write};

/// Finds words of the team's list. Pure: the same text has the same categories as long as the list stays.
pub trait Words: Debug + Send + Sync {
    /// What the words in a text are about.
    fn categories(&self, text: &str) -> BTreeSet<Category>;

    /// What the words are about that are split over texts, which stand in the order in which they were written. A word
    /// that one of them holds alone does not count.
    fn categories_across(&self, texts: &[&str]) -> BTreeSet<Category>;
}

/// A list without words.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWords;

impl Words for NoWords {
    fn categories(&self, _: &str) -> BTreeSet<Category> {
        BTreeSet::new()
    }

    fn categories_across(&self, _: &[&str]) -> BTreeSet<Category> {
        BTreeSet::new()
    }
}

/// Of a member's messages so many are looked at together: a word may be split over them.
const TOGETHER: usize = 3;
/// Of a message no more than so many bytes at an end belong to a word that goes on in another; a longer one lies between
/// no two parts of a word. Most entries of a list are shorter.
const PART_BYTES_MAX: usize = 64;

/// One of a member's last messages.
#[derive(Clone, Debug)]
struct Recent {
    message: MessageId,
    document: DocumentId,
    lsn: Lsn,
    /// Its end.
    text: String,
}

/// The last messages of each member in one conversation, as far as this run of the hub has seen them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recents(BTreeMap<MemberId, VecDeque<Recent>>);

/// What is sensitive about a fact.
#[derive(Debug, Default)]
pub(crate) struct Found {
    categories: BTreeSet<Category>,
    /// Of words that it shares with its author's messages before it.
    shared: BTreeSet<Category>,
}

impl Found {
    /// Under which keys the fact is stored.
    pub(crate) fn class(&self) -> Class {
        if self.categories.is_empty() && self.shared.is_empty() { Class::Normal } else { Class::Vault }
    }
}

impl Recents {
    fn add(&mut self, member: MemberId, document: DocumentId, lsn: Lsn, message: &Message) {
        let recents = self.0.entry(member).or_default();
        let body = &message.body;
        let least = body.len().saturating_sub(PART_BYTES_MAX);
        let end = (least..body.len()).find(|at| body.is_char_boundary(*at)).unwrap_or(body.len());
        if end > 0 {
            recents.clear();
        }
        recents.push_back(Recent { message: message.id, document, lsn, text: body[end..].to_owned() });
        if recents.len() >= TOGETHER {
            recents.pop_front();
        }
    }

    /// A document went.
    pub(crate) fn forget(&mut self, document: DocumentId) {
        self.0.values_mut().for_each(|recents| recents.retain(|recent| recent.document != document));
        self.0.retain(|_, recents| !recents.is_empty());
    }

    /// Memory that they take, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len() * TOGETHER * (size_of::<Recent>() + PART_BYTES_MAX)
    }

    fn of(&self, member: MemberId) -> impl Iterator<Item = &Recent> {
        self.0.get(&member).into_iter().flatten()
    }
}

impl Hub {
    /// What is sensitive about a fact that its author is about to add.
    pub(crate) fn find_words(&self, slot: &Slot, author: MemberId, fact: &Fact) -> Found {
        let mut categories: BTreeSet<Category> = texts(fact).flat_map(|text| self.words.categories(text)).collect();
        if self.planted.is(HubBug::EditsUnread) && matches!(fact, Fact::Edit { .. }) {
            categories.clear();
        }
        let mut shared = BTreeSet::new();
        if let Fact::Message(message) = fact {
            let mut together: Vec<&str> = slot.recents.of(author).map(|recent| &recent.text[..]).collect();
            if !together.is_empty() {
                let most = message.body.len().min(PART_BYTES_MAX);
                let begin = (0..=most).rev().find(|at| message.body.is_char_boundary(*at)).unwrap_or(0);
                together.push(&message.body[..begin]);
                shared = self.words.categories_across(&together);
            }
        }
        Found { categories, shared }
    }

    /// What is sensitive about a fact by itself, and about which message that is said; none if nothing is.
    pub(crate) fn words_in(&self, fact: &Fact) -> Option<(MessageId, BTreeSet<Category>)> {
        let categories: BTreeSet<Category> = texts(fact).flat_map(|text| self.words.categories(text)).collect();
        Some((about(fact)?, categories)).filter(|(_, categories)| !categories.is_empty())
    }

    /// After a fact was written: its message is marked, its document stored under the stricter keys.
    pub(crate) fn mark_found(
        &mut self,
        slot: &mut Slot,
        draft: &mut Draft,
        document: DocumentId,
        stamp: &Stamp,
        fact: &Fact,
        found: &Found,
    ) {
        let (author, lsn) = (stamp.member, stamp.lsn);
        if found.class() == Class::Vault {
            self.store_strictly(slot, draft, document);
        }
        if let Some(message) = about(fact) {
            self.mark_sensitive(slot, draft, document, message, &found.categories);
            self.mark_sensitive(slot, draft, document, message, &found.shared);
        }
        if !found.shared.is_empty() {
            let earlier: Vec<Recent> = slot.recents.of(author).cloned().collect();
            for recent in earlier {
                self.mark_sensitive(slot, draft, recent.document, recent.message, &found.shared);
                self.store_strictly(slot, draft, recent.document);
                draft.write(Write::Reseal(recent.lsn));
            }
        }
        if let Fact::Message(message) = fact {
            slot.recents.add(author, document, lsn, message);
        }
    }

    /// Writes the marks that a message does not have yet.
    pub(crate) fn mark_sensitive(
        &mut self,
        slot: &mut Slot,
        draft: &mut Draft,
        fallback: DocumentId,
        message: MessageId,
        categories: &BTreeSet<Category>,
    ) {
        let row = slot.fact_row(&KeyId::from(message));
        let home = row.map_or(fallback, |row| row.document);
        let known = row.and_then(|row| row.message.as_ref()).map_or(&[][..], |row| &row.sensitive);
        let new: Vec<Category> = categories.iter().copied().filter(|category| !known.contains(category)).collect();
        // An imported segment never changes: what is said of its messages stands in the open one.
        let open = slot.row().map(|row| DocumentId::segment(home.conversation, row.open_segment));
        let document = if home.kind == DocumentKind::Imported { open.unwrap_or(home) } else { home };
        // Of a message before this one the document may have left memory; of the fact itself it is always there.
        if slot.document(document).is_none() {
            return;
        }
        for category in new {
            let body = EntryBody::Sensitive { document, message, category };
            self.append_event(slot, draft, Author::new(MemberId::HUB), document, body);
            self.update_message(slot, draft, message, |row| {
                if let Err(at) = row.sensitive.binary_search(&category) {
                    row.sensitive.insert(at, category);
                }
            });
        }
    }

    /// From now on a document's snapshot is stored under the stricter keys.
    pub(crate) fn store_strictly(&mut self, slot: &mut Slot, draft: &mut Draft, document: DocumentId) {
        let Some(state) = slot.document_mut(document).filter(|state| state.row.class == Class::Normal) else { return };
        state.row.class = Class::Vault;
        // One for the snapshot that must be written anew.
        state.row.tail += 1;
        let row = state.row;
        draft.write(Write::Document(document, row));
        self.compaction.due.insert(document);
    }
}

/// The message that a fact is or is about.
pub(crate) fn about(fact: &Fact) -> Option<MessageId> {
    match fact {
        Fact::Message(message) => Some(message.id),
        other => other.target(),
    }
}

/// Everything in a fact that somebody has written.
pub fn texts(fact: &Fact) -> impl Iterator<Item = &str> {
    let (one, other) = match fact {
        Fact::Message(message) => (Some(&message.body), message.media.as_ref().map(|media| &media.name)),
        Fact::Edit { body, .. } => (Some(body), None),
        Fact::Retraction { reason, .. } => (Some(reason), None),
        Fact::Field { value, .. } => (Some(value), None),
        Fact::Label { label, .. } => (Some(label), None),
        Fact::Reaction { .. } => (None, None),
    };
    one.into_iter().chain(other).map(|text| &text[..])
}
