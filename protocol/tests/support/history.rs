//! Histories of a document by many actors, and the same histories as stock Automerge writes them.

use std::collections::{BTreeMap, BTreeSet};

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{Automerge, Change, ObjType, ROOT, ReadDoc, ScalarValue};
use lockstep_protocol::change::{ChainHead, derive_into};
use lockstep_protocol::document::ChainFact;
use lockstep_protocol::fact::{Fact, KeyId};
use lockstep_protocol::genesis::{GENESIS_ACTOR, Genesis};
use lockstep_protocol::id::{ActorId, DocumentKind, MessageId};

use super::source::Source;

/// Up to `facts_max` facts by up to 8 actors whose chains interleave. All pass the checks; no key is written twice.
pub(crate) fn history(source: &mut Source<'_>, facts_max: usize) -> (DocumentKind, Vec<ChainFact>) {
    let kind = *source.pick(&[DocumentKind::Segment, DocumentKind::Segment, DocumentKind::Card]);
    let actor_count = source.below(8) + 1;
    let actors: Vec<ActorId> = (0..actor_count).map(|number| actor(source, number)).collect();
    let mut seqs = BTreeMap::<ActorId, u32>::new();
    let mut keys = BTreeSet::<KeyId>::new();
    let mut messages = Vec::<MessageId>::new();
    let mut facts = Vec::new();
    while facts.len() < facts_max && !source.is_empty() {
        let actor = *source.pick(&actors);
        let fact = source.fact(kind, &messages);
        if !keys.insert(fact.key_id()) {
            continue;
        }
        if let Fact::Message(message) = &fact {
            messages.push(message.id);
        }
        let seq = seqs.entry(actor).and_modify(|seq| *seq += 1).or_insert(1);
        facts.push(ChainFact { actor, seq: *seq, fact });
    }
    (kind, facts)
}

/// Actors on both sides of the genesis actor in order, at the ends, and next to it.
fn actor(source: &mut Source<'_>, number: usize) -> ActorId {
    let mut actor = source.any::<ActorId>();
    if source.byte() < 32 {
        actor = GENESIS_ACTOR;
    }
    actor.0[15] = actor.0[15].wrapping_add(number as u8 + 1);
    if actor == GENESIS_ACTOR { ActorId::default() } else { actor }
}

/// The change chunks of a history, in its order, derived by this crate.
pub(crate) fn derived(kind: DocumentKind, facts: &[ChainFact]) -> Vec<Vec<u8>> {
    let mut heads = BTreeMap::<ActorId, ChainHead>::new();
    let chunks = facts.iter().map(|placed| {
        let head = heads.entry(placed.actor).or_insert_with(|| ChainHead::empty(kind));
        let mut chunk = Vec::new();
        let before = head.max_op;
        *head = derive_into(&placed.actor, head, &placed.fact, &mut chunk);
        assert_eq!(head.max_op - before, placed.fact.ops());
        assert_eq!(head.seq, placed.seq);
        chunk
    });
    chunks.collect()
}

/// The change chunks of a history, in its order, authored by Automerge's own transactions: each actor on a fork that
/// holds the genesis and its own changes.
pub(crate) fn authored(kind: DocumentKind, facts: &[ChainFact]) -> Vec<Vec<u8>> {
    let mut forks = BTreeMap::<ActorId, Automerge>::new();
    let chunks = facts.iter().map(|placed| {
        let fork = forks.entry(placed.actor).or_insert_with(|| {
            let mut fork = Automerge::new().with_actor(automerge::ActorId::from(&placed.actor.0[..]));
            fork.apply_changes([Change::try_from(Genesis::of(kind).bytes).expect("the genesis is a change")])
                .expect("the genesis applies");
            fork
        });
        author(fork, &placed.fact);
        fork.get_last_local_change().expect("a change was just made").raw_bytes().to_vec()
    });
    chunks.collect()
}

fn author(fork: &mut Automerge, fact: &Fact) {
    let (_, root) = fork.get(ROOT, fact.container().name()).expect("readable").expect("made by the genesis");
    let mut key = String::new();
    fact.write_key(&mut key);
    fork.transact_with::<_, _, automerge::AutomergeError, _>(
        |_| CommitOptions::default().with_time(0),
        |tx| {
            let text = |value: &str| ScalarValue::from(value);
            let Fact::Message(message) = fact else {
                let value = match fact {
                    Fact::Edit { body: value, .. }
                    | Fact::Retraction { reason: value, .. }
                    | Fact::Reaction { emoji: value, .. }
                    | Fact::Field { value, .. } => value,
                    Fact::Label { on: true, .. } => "on",
                    Fact::Label { on: false, .. } | Fact::Message(_) => "off",
                };
                return tx.put(&root, key.as_str(), text(value));
            };
            let map = tx.put_object(&root, key.as_str(), ObjType::Map)?;
            tx.put(&map, "by", ScalarValue::Uint(u64::from(message.by.0)))?;
            tx.put(&map, "dir", text(message.dir.as_str()))?;
            tx.put(&map, "kind", text(&message.kind))?;
            tx.put(&map, "body", text(&message.body))?;
            if let Some(seen) = message.seen {
                tx.put(&map, "seen", text(&seen.to_string()))?;
            }
            if let Some(re) = message.re {
                tx.put(&map, "re", text(&re.to_string()))?;
            }
            if let Some(media) = &message.media {
                tx.put(&map, "media", text(&media.hash.to_string()))?;
                tx.put(&map, "media_type", text(&media.media_type))?;
                tx.put(&map, "media_name", text(&media.name))?;
                tx.put(&map, "media_size", ScalarValue::Uint(media.size))?;
            }
            if let Some(src) = &message.src {
                tx.put(&map, "src", text(src))?;
            }
            Ok(())
        },
    )
    .expect("stock Automerge authors what a checked fact says");
}
