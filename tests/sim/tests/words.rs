//! A changed list of sensitive words, looked for in what a hub holds already.

use std::collections::BTreeSet;
use std::sync::Arc;

use lockstep_core::hub::HubConfig;
use lockstep_core::input::Input;
use lockstep_core::row::Class;
use lockstep_core::sensitive::Words;
use lockstep_protocol::directory::Conversation;
use lockstep_protocol::entry::{Category, Entry, EntryBody, PlacedFact};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{Command, Outcome};
use lockstep_protocol::id::{ConversationId, DocumentId, FactId, MemberId, MessageId};
use lockstep_sim::local::{LocalChain, LocalHub};
use lockstep_sim::worker::Worker;

/// One word.
#[derive(Debug)]
struct Only(&'static str);

impl Words for Only {
    fn categories(&self, text: &str) -> BTreeSet<Category> {
        if text.contains(self.0) { [Category::Contract].into() } else { BTreeSet::new() }
    }

    fn categories_across(&self, _: &[&str]) -> BTreeSet<Category> {
        BTreeSet::new()
    }
}

const OWNER: u32 = 1;
const TALK: ConversationId = ConversationId([0xc1; 16]);
const SEGMENT: DocumentId = DocumentId::segment(TALK, 0);

struct Stage {
    hub: LocalHub,
    chain: LocalChain,
    written: u128,
}

impl Stage {
    fn new() -> Self {
        let mut hub = LocalHub::new(HubConfig { compact_tail: 4, ..HubConfig::default() });
        hub.worker = Some(Worker::Facts);
        let device = hub.enrol(OWNER, 1);
        let opened =
            Conversation { id: TALK, customer: "Customer".into(), service: None, assigned: Vec::new(), keep: None };
        assert!(matches!(hub.administer(Command::ConversationOpen(opened)), Outcome::Done(_)));
        let chain = device.chain(SEGMENT, 1);
        Self { hub, chain, written: 0 }
    }

    fn message(&mut self, body: &str) -> MessageId {
        self.written += 1;
        self.hub.advance(1);
        let id = MessageId::from_parts(self.hub.now.wall_ms, self.written);
        let (by, dir, kind, body) = (MemberId(OWNER), Direction::Note, "text".into(), body.into());
        let fact = Fact::Message(Message { id, by, dir, kind, body, seen: None, re: None, media: None, src: None });
        self.push(&fact);
        id
    }

    fn edit(&mut self, message: MessageId, body: &str) {
        self.written += 1;
        self.hub.advance(1);
        let id = FactId::from_parts(self.hub.now.wall_ms, self.written);
        self.push(&Fact::Edit { message, id, body: body.into() });
    }

    fn push(&mut self, fact: &Fact) {
        let outcome = self.chain.push(&mut self.hub, fact);
        assert!(matches!(outcome, Outcome::Placed { .. }), "{outcome:?}");
    }

    /// Every mark in the log, in order.
    fn marks(&self) -> Vec<(MessageId, Category)> {
        let entries = self.hub.store.disk.log.values().filter_map(|logged| Entry::from_bytes(&logged.bytes));
        let mark = |entry: Entry| match entry.body {
            EntryBody::Sensitive { message, category, document } => {
                assert_eq!(document, SEGMENT);
                Some((message, category))
            }
            _ => None,
        };
        entries.filter_map(mark).collect()
    }

    /// The messages whose entries are stored under the stricter keys.
    fn strict(&self) -> Vec<MessageId> {
        let strict = self.hub.store.disk.log.values().filter(|logged| logged.class == Class::Vault);
        let message = |entry: Entry| match entry.body {
            EntryBody::Fact(PlacedFact { fact: Fact::Message(message), .. }) => Some(message.id),
            _ => None,
        };
        strict.filter_map(|logged| message(Entry::from_bytes(&logged.bytes)?)).collect()
    }
}

#[test]
fn a_word_marks_its_message_wherever_it_stands() {
    let mut stage = Stage::new();
    let plain = stage.message("good morning");
    let word = stage.message("my secret");
    stage.edit(plain, "my iban");
    assert_eq!(stage.marks(), [(word, Category::Password), (plain, Category::Bank)]);
    assert_eq!(stage.strict(), [word], "an edit's own entry is, not that of the message which it changes");
    // Known marks are not written again.
    stage.edit(word, "another secret");
    assert_eq!(stage.marks().len(), 2);
}

#[test]
fn a_word_split_over_messages_marks_all_of_them() {
    let mut stage = Stage::new();
    let (first, second) = (stage.message("here it is: sec"), stage.message("ret"));
    assert_eq!(stage.marks(), [(second, Category::Password), (first, Category::Password)]);
    let mut strict = stage.strict();
    strict.sort_unstable();
    assert_eq!(strict, [first, second]);
}

#[test]
fn only_the_ends_of_long_messages_are_looked_at_together() {
    let mut stage = Stage::new();
    let long = "ก".repeat(400);
    let first = stage.message(&format!("{long} sec"));
    let second = stage.message(&format!("ret {long}"));
    assert_eq!(stage.marks(), [(second, Category::Password), (first, Category::Password)]);
    // A long message between two parts keeps them apart.
    let mut stage = Stage::new();
    stage.message("sec");
    stage.message(&long);
    stage.message("ret");
    assert_eq!(stage.marks(), []);
}

#[test]
fn a_changed_list_finds_what_is_stored_in_log_and_snapshots() {
    let mut stage = Stage::new();
    let old: Vec<MessageId> = (0..12).map(|n| stage.message(if n == 1 { "bluebird" } else { "nothing" })).collect();
    assert!(stage.hub.store.disk.snapshot(SEGMENT).is_some(), "some of it is compacted");
    let new = stage.message("bluebird again");
    assert_eq!(stage.marks(), []);
    let words = Arc::new(Only("bluebird"));
    stage.hub.input(Input::WordsChanged { request: 1, list: "a list".into(), words, added: 1, removed: 0 });
    stage.hub.advance(1_000);
    assert_eq!(stage.marks(), [(old[1], Category::Contract), (new, Category::Contract)]);
    let scan = stage.hub.hub.scan();
    assert!(scan.is_done && scan.found == 2 && scan.failed == 0, "{scan:?}");
    assert_eq!(stage.hub.store.disk.words, "a list");
    let row = stage.hub.store.disk.document(SEGMENT).map(|state| state.row.class);
    assert_eq!(row, Some(Class::Vault));
    assert!(stage.strict().contains(&new));
    // Once more, and nothing is marked twice.
    let words = Arc::new(Only("bluebird"));
    stage.hub.input(Input::WordsChanged { request: 2, list: "a list".into(), words, added: 1, removed: 0 });
    stage.hub.advance(1_000);
    assert_eq!(stage.marks().len(), 2);
}
