//! What a reader sees of facts: of every key the value with the highest ULID.

use std::collections::BTreeMap;

use crate::codec;
use crate::fact::{Fact, Message};
use crate::id::{FactId, MemberId, MessageId};

/// The current content that facts of one or more documents add up to, in whatever order they are added.
///
/// Edits, retractions and reactions are kept beside the messages, not in them: their message may lie in a segment that
/// is not loaded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Content {
    /// Messages as they were written, in display order.
    pub messages: BTreeMap<MessageId, Message>,
    /// The newest edit of a message: its ULID and the new body.
    pub edits: BTreeMap<MessageId, (FactId, String)>,
    /// The newest retraction of a message: its ULID and the reason.
    pub retractions: BTreeMap<MessageId, (FactId, String)>,
    /// A member's newest reaction to a message: its ULID and the emoji, empty when it was taken back.
    pub reactions: BTreeMap<(MessageId, MemberId), (FactId, String)>,
    /// The newest value of a card field.
    pub fields: BTreeMap<String, (FactId, String)>,
    /// Whether a label is on.
    pub labels: BTreeMap<String, (FactId, bool)>,
}

impl Content {
    /// Adds one fact.
    pub fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::Message(message) => {
                let known = self.messages.get(&message.id);
                if known.is_none_or(|known| codec::encode(known) < codec::encode(message)) {
                    self.messages.insert(message.id, message.clone());
                }
            }
            Fact::Edit { message, id, body } => newest(&mut self.edits, *message, *id, body),
            Fact::Retraction { message, id, reason } => newest(&mut self.retractions, *message, *id, reason),
            Fact::Reaction { message, by, id, emoji } => newest(&mut self.reactions, (*message, *by), *id, emoji),
            Fact::Field { name, id, value } => newest(&mut self.fields, name.clone(), *id, value),
            Fact::Label { label, id, on } => newest(&mut self.labels, label.clone(), *id, on),
        }
    }

    /// The body that a message shows now; `None` for one that is not here.
    #[must_use]
    pub fn body(&self, message: MessageId) -> Option<&str> {
        let written = &self.messages.get(&message)?.body;
        Some(self.edits.get(&message).map_or(written, |(_, body)| body))
    }
}

// The hub lets nobody write a key twice. Should it happen all the same, every reader takes the same one of the values.
fn newest<K: Ord, V: Ord + Clone>(map: &mut BTreeMap<K, (FactId, V)>, key: K, id: FactId, value: &V) {
    if map.get(&key).is_none_or(|(known, held)| (known, held) < (&id, value)) {
        map.insert(key, (id, value.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Direction;

    const TIME_MS: u64 = 1_790_000_000_000;

    fn id(number: u128) -> FactId {
        FactId::from_parts(TIME_MS, number)
    }

    #[test]
    fn the_highest_ulid_wins_in_any_order() {
        let message = Message {
            id: MessageId::from_parts(TIME_MS, 1),
            by: MemberId(1),
            dir: Direction::Note,
            kind: "text".into(),
            body: "written".into(),
            seen: None,
            re: None,
            media: None,
            src: None,
        };
        let (at, by) = (message.id, MemberId(2));
        let mut facts = vec![
            Fact::Message(message),
            Fact::Edit { message: at, id: id(2), body: "edited".into() },
            Fact::Edit { message: at, id: id(1), body: "edited before".into() },
            Fact::Retraction { message: at, id: id(3), reason: String::new() },
            Fact::Reaction { message: at, by, id: id(4), emoji: "👍".into() },
            Fact::Reaction { message: at, by, id: id(5), emoji: String::new() },
            Fact::Field { name: "phone".into(), id: id(7), value: "2".into() },
            Fact::Field { name: "phone".into(), id: id(6), value: "1".into() },
            Fact::Label { label: "vip".into(), id: id(8), on: true },
            Fact::Label { label: "vip".into(), id: id(9), on: false },
        ];
        for _ in 0..facts.len() {
            facts.rotate_left(1);
            let mut content = Content::default();
            facts.iter().for_each(|fact| content.add(fact));
            assert_eq!(content.body(at), Some("edited"));
            assert_eq!(content.retractions[&at], (id(3), String::new()));
            assert_eq!(content.reactions[&(at, by)], (id(5), String::new()));
            assert_eq!(content.fields["phone"], (id(7), "2".to_owned()));
            assert_eq!(content.labels["vip"], (id(9), false));
        }
    }

    #[test]
    fn a_body_needs_its_message() {
        let mut content = Content::default();
        content.add(&Fact::Edit { message: MessageId::default(), id: id(1), body: "edited".into() });
        assert_eq!(content.body(MessageId::default()), None);
    }
}
