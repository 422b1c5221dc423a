//! Imports: facts from elsewhere, sifted, cut into segments, and checked by the same code at whoever builds a segment
//! and at the hub that takes it. DESIGN section 4.
//!
//! The sequence, for the facts of one conversation: [`keys`] → the hub says what it knows → [`sift`] → [`arrange`] → for
//! each segment, under the number that the hub names, [`ImportPlace::derive`] (and, with the feature `documents`,
//! `document::build_import`, which calls it) → the hub derives again, compares, and takes the segment as one entry.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{ChainHead, derive};
use crate::entry::Imported;
use crate::fact::{Fact, KeyId};
use crate::id::{ActorId, DocumentId, DocumentKind, HashPrefix, HubId, ImportId, MessageId};
use crate::limits;
use crate::refusal::RefusalCode;
use crate::snapshot::DocumentDigest;

/// What stands under a key in a conversation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Known {
    /// Nothing.
    Nothing,
    /// A fact of an imported segment.
    Imported,
    /// A fact that a device wrote.
    Written,
}

/// The keys that [`sift`] must know about: those of the facts and of their targets, each once, in order.
#[must_use]
pub fn keys<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Vec<KeyId> {
    let keys = facts.into_iter().flat_map(|fact| [Some(fact.key_id()), fact.target().map(KeyId::from)]);
    keys.flatten().collect::<BTreeSet<_>>().into_iter().collect()
}

/// The facts of one conversation, sorted by what is to become of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sifted {
    /// To be imported, in the order in which they came.
    pub fresh: Vec<Fact>,
    /// Left out because their key is known at the hub, or came before in the same list.
    pub known: Vec<Fact>,
    /// Left out because they can never stand.
    pub refused: Vec<(Fact, RefusalCode)>,
}

/// Sorts out what the hub has already and what it would refuse. `known` has an answer for each of [`keys`]; what it does
/// not name counts as [`Known::Nothing`].
#[must_use]
pub fn sift(facts: impl IntoIterator<Item = Fact>, known: &BTreeMap<KeyId, Known>) -> Sifted {
    let mut sifted = Sifted::default();
    let known_as = |key: &KeyId| known.get(key).copied().unwrap_or(Known::Nothing);
    let mut seen = BTreeSet::new();
    let mut checked = Vec::new();
    for fact in facts {
        let key = fact.key_id();
        match fact.check(DocumentKind::Imported) {
            Err(code) => sifted.refused.push((fact, code)),
            Ok(()) if known_as(&key) == Known::Nothing && seen.insert(key) => checked.push(fact),
            Ok(()) => sifted.known.push(fact),
        }
    }
    for fact in checked {
        match fact.target().map(KeyId::from).filter(|target| !seen.contains(target)).map(|key| known_as(&key)) {
            None | Some(Known::Imported) => sifted.fresh.push(fact),
            Some(Known::Nothing) => sifted.refused.push((fact, RefusalCode::TargetUnknown)),
            Some(Known::Written) => sifted.refused.push((fact, RefusalCode::TargetForbidden)),
        }
    }
    sifted
}

/// Cuts sifted facts into segments, oldest first: messages in order of id, each followed by what is about it.
#[must_use]
pub fn arrange(mut facts: Vec<Fact>) -> Vec<Vec<Fact>> {
    let subject = |fact: &Fact| match fact {
        Fact::Message(message) => message.id,
        other => other.target().unwrap_or_default(),
    };
    facts.sort_by_cached_key(|fact| (subject(fact), !matches!(fact, Fact::Message(_)), fact.ulid(), fact.key_id()));
    let mut segments: Vec<Vec<Fact>> = Vec::new();
    let mut size = Size::default();
    for fact in facts {
        let grown = size.with(&fact);
        if segments.is_empty() || !grown.fits() {
            size = Size::default().with(&fact);
            segments.push(vec![fact]);
        } else {
            size = grown;
            segments.last_mut().expect("one was just seen").push(fact);
        }
    }
    segments
}

/// How much of an imported segment is used: no more than what closes an ordinary one.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    messages: u32,
    ops: u32,
    text_bytes: u32,
}

impl Size {
    fn with(self, fact: &Fact) -> Self {
        Self {
            messages: self.messages + u32::from(matches!(fact, Fact::Message(_))),
            ops: self.ops + fact.ops(),
            text_bytes: self.text_bytes.saturating_add(fact.text_bytes()),
        }
    }

    const fn fits(self) -> bool {
        self.messages <= limits::SEGMENT_OPEN_MESSAGES
            && self.ops <= limits::SEGMENT_OPEN_OPS
            && self.text_bytes <= limits::SEGMENT_OPEN_TEXT_BYTES
    }
}

/// Where the facts of one imported segment go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImportPlace {
    /// The hub.
    pub hub: HubId,
    /// The run.
    pub import: ImportId,
    /// The imported segment.
    pub document: DocumentId,
}

/// What the facts of one imported segment come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DerivedImport {
    /// What its entry says.
    pub imported: Imported,
    /// The end of its chain.
    pub head: ChainHead,
    /// Prefix of each fact's hash, in chain order.
    pub hashes: Vec<HashPrefix>,
    /// Operations.
    pub ops: u32,
    /// Text, bytes.
    pub text_bytes: u32,
    /// Messages that facts of the segment are about and that it does not hold: they must be imported already.
    pub targets: BTreeSet<MessageId>,
}

/// A fact of an imported segment that cannot stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImportRefusal {
    /// Its place in the list, from 0.
    pub at: usize,
    /// Why.
    pub code: RefusalCode,
}

impl ImportPlace {
    /// The segment's one actor.
    #[must_use]
    pub fn actor(&self) -> ActorId {
        ActorId::import(&self.hub, &self.import, self.document)
    }

    /// Checks the facts of a segment as far as they can be checked by themselves, and derives their chain.
    ///
    /// # Errors
    /// What [`Fact::check`] says of a fact; `KeyTaken` or `MessageIdTaken` for a key that comes twice; `TargetUnknown`
    /// for a fact before the message that it is about; `SegmentFull` for one that the segment has no room for;
    /// `WrongDocument` for a document of another kind; `FieldInvalid` for an empty list.
    pub fn derive(&self, facts: &[Fact]) -> Result<DerivedImport, ImportRefusal> {
        let refused = |at, code| Err(ImportRefusal { at, code });
        if self.document.kind != DocumentKind::Imported {
            return refused(0, RefusalCode::WrongDocument);
        }
        if facts.is_empty() {
            return refused(0, RefusalCode::FieldInvalid);
        }
        let actor = self.actor();
        let mut head = ChainHead::empty(self.document.kind);
        let mut digest = DocumentDigest::default();
        let mut hashes = Vec::with_capacity(facts.len());
        let (mut seen, mut targets, mut messages) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut size = Size::default();
        for (at, fact) in facts.iter().enumerate() {
            if let Err(code) = fact.check(self.document.kind) {
                return refused(at, code);
            }
            size = size.with(fact);
            if !size.fits() {
                return refused(at, RefusalCode::SegmentFull);
            }
            if !seen.insert(fact.key_id()) {
                let is_message = matches!(fact, Fact::Message(_));
                return refused(at, if is_message { RefusalCode::MessageIdTaken } else { RefusalCode::KeyTaken });
            }
            if let Fact::Message(message) = fact {
                if targets.contains(&message.id) {
                    return refused(at, RefusalCode::TargetUnknown);
                }
                messages.insert(message.id);
            }
            targets.extend(fact.target().filter(|target| !messages.contains(target)));
            head = derive(&actor, &head, fact);
            digest.add_imported(&head.hash);
            hashes.push(head.hash.prefix());
        }
        let imported = Imported {
            document: self.document,
            import: self.import,
            facts: head.seq,
            messages: size.messages,
            first: messages.first().copied(),
            last: messages.last().copied(),
            digest,
        };
        Ok(DerivedImport { imported, head, hashes, ops: size.ops, text_bytes: size.text_bytes, targets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{Direction, Message};
    use crate::id::{ConversationId, FactId, MemberId};

    const TIME_MS: u64 = 1_500_000_000_000;

    fn id(number: u64) -> MessageId {
        MessageId::from_parts(TIME_MS + number, 7)
    }

    fn message(number: u64) -> Fact {
        Fact::Message(Message {
            id: id(number),
            by: MemberId(0),
            dir: Direction::In,
            kind: "text".into(),
            body: "hello".into(),
            seen: None,
            re: None,
            media: None,
            src: Some(format!("chat.txt#{number}")),
        })
    }

    fn edit(of: u64, number: u64) -> Fact {
        Fact::Edit { message: id(of), id: FactId(id(number).0), body: "edited".into() }
    }

    fn place() -> ImportPlace {
        let document = DocumentId::imported(ConversationId([3; 16]), 2);
        ImportPlace { hub: HubId([1; 16]), import: ImportId([2; 16]), document }
    }

    #[test]
    fn what_is_known_or_can_never_stand_is_left_out() {
        let old = Fact::Message(Message {
            id: MessageId::from_parts(5, 5),
            ..match message(1) {
                Fact::Message(message) => message,
                _ => unreachable!("a message"),
            }
        });
        let facts = vec![message(1), message(2), edit(1, 10), edit(2, 11), edit(8, 12), edit(9, 13), message(2), old];
        let asked = keys(&facts);
        assert!(asked.is_sorted() && asked.contains(&KeyId::from(id(9))));
        let known = BTreeMap::from([
            (message(1).key_id(), Known::Imported),
            (KeyId::from(id(8)), Known::Written),
            (edit(2, 11).key_id(), Known::Imported),
        ]);
        let Sifted { fresh, known, refused } = sift(facts.clone(), &known);
        assert_eq!(fresh, [message(2), edit(1, 10)]);
        assert_eq!(known, [message(1), edit(2, 11), message(2)]);
        let codes: Vec<_> = refused.iter().map(|(_, code)| *code).collect();
        assert_eq!(codes, [RefusalCode::TimeTooOld, RefusalCode::TargetForbidden, RefusalCode::TargetUnknown]);
        let all = keys(&facts).into_iter().map(|key| (key, Known::Imported)).collect();
        assert_eq!(sift(facts, &all).fresh, [], "a rerun adds nothing");
    }

    #[test]
    fn segments_are_full_and_in_order_and_derive() {
        let count = u64::from(limits::SEGMENT_OPEN_MESSAGES) + 5;
        let facts: Vec<Fact> = (0..count).rev().map(message).chain([edit(3, 9_000)]).collect();
        let segments = arrange(facts);
        let lens: Vec<usize> = segments.iter().map(Vec::len).collect();
        assert_eq!(lens, [limits::SEGMENT_OPEN_MESSAGES as usize + 1, 5]);
        assert_eq!(segments[0][4], edit(3, 9_000), "right behind its message");
        let derived = place().derive(&segments[0]).expect("it stands");
        assert_eq!(derived.imported.messages, limits::SEGMENT_OPEN_MESSAGES);
        assert_eq!((derived.imported.first, derived.targets.len()), (Some(id(0)), 0));
        assert_eq!(derived.hashes.last(), Some(&derived.head.hash.prefix()));
    }

    #[test]
    fn a_segment_that_breaks_a_rule_is_refused_at_its_place() {
        let full: Vec<Fact> = (0..=u64::from(limits::SEGMENT_OPEN_MESSAGES)).map(message).collect();
        let seen = Fact::Message(Message {
            dir: Direction::Out,
            seen: Some(id(1)),
            ..match message(2) {
                Fact::Message(message) => message,
                _ => unreachable!("a message"),
            }
        });
        let field = Fact::Field { name: "phone".into(), id: FactId(id(1).0), value: String::new() };
        for (facts, at, code) in [
            (vec![], 0, RefusalCode::FieldInvalid),
            (vec![message(1), message(1)], 1, RefusalCode::MessageIdTaken),
            (vec![message(1), edit(1, 2), edit(1, 2)], 2, RefusalCode::KeyTaken),
            (vec![edit(1, 2), message(1)], 1, RefusalCode::TargetUnknown),
            (vec![message(1), field], 1, RefusalCode::WrongDocument),
            (vec![seen], 0, RefusalCode::FieldInvalid),
            (full, limits::SEGMENT_OPEN_MESSAGES as usize, RefusalCode::SegmentFull),
        ] {
            assert_eq!(place().derive(&facts), Err(ImportRefusal { at, code }), "{code:?}");
        }
        let segment = ImportPlace { document: DocumentId::segment(ConversationId([3; 16]), 0), ..place() };
        let refused = ImportRefusal { at: 0, code: RefusalCode::WrongDocument };
        assert_eq!(segment.derive(&[message(1)]), Err(refused));
        let outside = place().derive(&[edit(1, 2), edit(1, 3)]).expect("its message may be in another segment");
        assert_eq!(outside.targets, BTreeSet::from([id(1)]));
        assert_eq!((outside.imported.messages, outside.imported.first), (0, None));
    }
}
