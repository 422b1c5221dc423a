//! Facts read back out of the changes of an Automerge document.

use automerge::legacy::{Key, ObjectId, Op, OpType};
use automerge::{Automerge, Change, ExpandedChange, ObjType, ScalarValue};

use super::{ChainFact, DocumentError};
use crate::change::OPS_MAX;
use crate::fact::{Container, Direction, Fact, Media, Message};
use crate::genesis::{GENESIS_ACTOR, Genesis};
use crate::id::{ActorId, ChangeHash, DocumentKind, FactId, MediaHash, MemberId, MessageId};

/// Reads every change but the genesis, each chain in order, and hands its fact and hash to `take`.
///
/// The reading is lenient, it only finds the fact that a change would mean; whoever must know that the change says
/// nothing else derives the fact again and compares hashes.
pub(super) fn facts(
    kind: DocumentKind,
    automerge: &Automerge,
    mut take: impl FnMut(ChainFact, ChangeHash) -> Result<(), DocumentError>,
) -> Result<(), DocumentError> {
    let mut genesis = false;
    for change in automerge.get_changes(&[]) {
        let hash = ChangeHash(change.hash().0);
        if hash == Genesis::of(kind).hash {
            genesis = true;
            continue;
        }
        take(placed(kind, &change).ok_or(DocumentError::NotFacts("a change that no fact means"))?, hash)?;
    }
    if genesis { Ok(()) } else { Err(DocumentError::NotFacts("another genesis")) }
}

fn placed(kind: DocumentKind, change: &Change) -> Option<ChainFact> {
    let actor = ActorId(change.actor_id().to_bytes().try_into().ok()?);
    let seq = u32::try_from(change.seq()).ok()?;
    // Checked before `decode`, which spells every operation out.
    if change.len() > OPS_MAX {
        return None;
    }
    Some(ChainFact { actor, seq, fact: fact(kind, &change.decode())? })
}

fn fact(kind: DocumentKind, change: &ExpandedChange) -> Option<Fact> {
    let (first, rest) = change.operations.split_first()?;
    let ObjectId::Id(object) = &first.obj else { return None };
    let Key::Map(key) = &first.key else { return None };
    if object.actor().to_bytes() != GENESIS_ACTOR.0 {
        return None;
    }
    let container = *Container::of(kind).iter().find(|container| container.op() == object.counter())?;
    if container == Container::Messages {
        return match first.action {
            OpType::Make(ObjType::Map) => message(MessageId::parse(key)?, rest).map(Fact::Message),
            _ => None,
        };
    }
    let OpType::Put(ScalarValue::Str(value)) = &first.action else { return None };
    let value = value.to_string();
    let (target, id) = key.rsplit_once('/')?;
    let id = FactId::parse(id)?;
    Some(match container {
        Container::Messages => return None,
        Container::Edits => Fact::Edit { message: MessageId::parse(target)?, id, body: value },
        Container::Retractions => Fact::Retraction { message: MessageId::parse(target)?, id, reason: value },
        Container::Reactions => {
            let (message, by) = target.split_once('/')?;
            Fact::Reaction { message: MessageId::parse(message)?, by: MemberId(by.parse().ok()?), id, emoji: value }
        }
        Container::Fields => Fact::Field { name: target.to_owned(), id, value },
        Container::Labels => Fact::Label {
            label: target.to_owned(),
            id,
            on: match value.as_str() {
                "on" => true,
                "off" => false,
                _ => return None,
            },
        },
    })
}

fn message(id: MessageId, ops: &[Op]) -> Option<Message> {
    let mut fields = ops.iter().map(field).collect::<Option<Vec<_>>>()?.into_iter().peekable();
    let mut take = |name: &str| fields.next_if(|(key, _)| *key == name).map(|(_, value)| value);
    let message = Message {
        id,
        by: MemberId(u32::try_from(take("by")?.uint()?).ok()?),
        dir: Direction::parse(take("dir")?.text()?)?,
        kind: take("kind")?.text()?.to_owned(),
        body: take("body")?.text()?.to_owned(),
        seen: reference(take("seen"))?,
        re: reference(take("re"))?,
        media: match take("media") {
            None => None,
            Some(hash) => Some(Media {
                hash: media_hash(hash.text()?)?,
                media_type: take("media_type")?.text()?.to_owned(),
                name: take("media_name")?.text()?.to_owned(),
                size: take("media_size")?.uint()?,
            }),
        },
        src: match take("src") {
            None => None,
            Some(src) => Some(src.text()?.to_owned()),
        },
    };
    fields.next().is_none().then_some(message)
}

/// A field's value, of the two kinds that there are.
#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a str),
    Uint(u64),
}

impl<'a> Value<'a> {
    const fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Uint(_) => None,
        }
    }

    const fn uint(self) -> Option<u64> {
        match self {
            Self::Uint(number) => Some(number),
            Self::Text(_) => None,
        }
    }
}

fn field(op: &Op) -> Option<(&str, Value<'_>)> {
    let Key::Map(key) = &op.key else { return None };
    match &op.action {
        OpType::Put(ScalarValue::Str(text)) => Some((key, Value::Text(text))),
        OpType::Put(ScalarValue::Uint(number)) => Some((key, Value::Uint(*number))),
        _ => None,
    }
}

/// An absent reference, or a present one that reads well.
fn reference(value: Option<Value<'_>>) -> Option<Option<MessageId>> {
    match value {
        None => Some(None),
        Some(value) => Some(Some(MessageId::parse(value.text()?)?)),
    }
}

/// 64 lower-case hexadecimal digits.
fn media_hash(text: &str) -> Option<MediaHash> {
    let digits = text.as_bytes().iter().map(|byte| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    });
    let digits = digits.collect::<Option<Vec<u8>>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() == 2 * bytes.len() { Some(MediaHash(bytes.try_into().ok()?)) } else { None }
}
