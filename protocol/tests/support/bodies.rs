//! The whole life of a document made of whatever facts the checks accept: a fuzz target's body, and a property test's.

use std::collections::BTreeMap;

use automerge::{Automerge, Change, ReadDoc};
use lockstep_protocol::document::{ChainFact, Document, build, compact};
use lockstep_protocol::genesis::Genesis;
use lockstep_protocol::id::{ActorId, DocumentKind};

use super::history::{derived, history};
use super::source::Source;

/// Bytes as facts of several actors: whatever the checks accept, Automerge applies in any order and batching, saves,
/// loads and merges, and the facts come out again.
pub(crate) fn fact_apply(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let order = source.array();
    let (kind, facts) = history(&mut source, 64);
    whole_document_life(kind, &facts, order);
}

/// See [`fact_apply`]; `order` chooses how changes arrive.
pub(crate) fn whole_document_life(kind: DocumentKind, facts: &[ChainFact], order: [u8; 8]) {
    for placed in facts {
        assert_eq!(placed.fact.check(kind), Ok(()), "{placed:?}");
    }
    let whole = build(kind, facts.iter().cloned()).expect("checked facts build");
    let heads = whole.automerge_heads();

    // Facts come out as they went in.
    let by_chain = |facts: Vec<ChainFact>| {
        let mut chains = BTreeMap::<ActorId, Vec<ChainFact>>::new();
        facts.into_iter().for_each(|placed| chains.entry(placed.actor).or_default().push(placed));
        chains
    };
    assert_eq!(by_chain(whole.facts().expect("readable")), by_chain(facts.to_vec()));

    // Saved either way, loaded by this crate and by stock Automerge.
    for saved in [whole.save(), whole.automerge().save()] {
        let loaded = Document::load(kind, &saved).expect("a saved document loads");
        assert_eq!((loaded.heads(), loaded.automerge_heads()), (whole.heads(), heads.clone()));
        let stock = Automerge::load(&saved).expect("stock Automerge loads it");
        assert_eq!(stock.hydrate(None), whole.automerge().hydrate(None));
    }

    // A batch on top of a saved half is the whole.
    let (early, late) = facts.split_at(facts.len() / 2);
    let base = build(kind, early.iter().cloned()).expect("the first half builds").save();
    let compacted = compact(kind, Some(&base), late.to_vec(), &whole.heads()).expect("the rest goes on top");
    assert_eq!(Document::load(kind, &compacted).expect("it loads").automerge_heads(), heads);

    // Changes in any order, in batches of any size, some of them twice.
    let mut changes: Vec<Change> =
        derived(kind, facts).iter().map(|chunk| Change::try_from(&chunk[..]).expect("a change")).collect();
    changes.push(Change::try_from(Genesis::of(kind).bytes).expect("a change"));
    let mut random = u64::from_le_bytes(order);
    let mut draw = |bound: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % bound
    };
    for at in (1..changes.len()).rev() {
        changes.swap(at, draw(at + 1));
    }
    let mut stock = Automerge::new();
    let mut rest = &changes[..];
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(draw(rest.len()) + 1);
        stock.apply_changes(batch.to_vec()).expect("any order applies");
        stock.apply_changes(batch[..batch.len() / 2].to_vec()).expect("again changes nothing");
        rest = later;
    }
    assert!(stock.get_missing_deps(&[]).is_empty(), "nothing is queued");
    let stock_heads = |stock: &Automerge| {
        let mut heads: Vec<_> = stock.get_heads().iter().map(|hash| hash.0).collect();
        heads.sort_unstable();
        heads
    };
    let expected: Vec<_> = heads.iter().map(|hash| hash.0).collect();
    assert_eq!(stock_heads(&stock), expected);

    // Two replicas that never met a hub, each with some of the actors, saved and merged by stock Automerge.
    let side = |left: bool| {
        let part = facts.iter().filter(|placed| (placed.actor.0[15] & 1 == 0) == left).cloned();
        Automerge::load(&build(kind, part).expect("a part builds").save()).expect("it loads")
    };
    let (mut left, mut right) = (side(true), side(false));
    left.merge(&mut right).expect("replicas merge");
    assert_eq!(stock_heads(&left), expected);
    assert_eq!(left.hydrate(None), whole.automerge().hydrate(None));
    let merged = Document::load(kind, &left.save()).expect("a merged document is made of facts");
    assert_eq!(merged.content().expect("readable"), whole.content().expect("readable"));
}
