//! Derived changes against stock Automerge, for random histories; the fuzz corpus of facts.
#![cfg(feature = "documents")]
#![allow(clippy::disallowed_methods, reason = "tests read files and their number of cases; the crate does not")]

#[allow(dead_code, reason = "shared with the fuzz targets and the other tests, each of which uses a part")]
mod support {
    pub(crate) mod bodies;
    pub(crate) mod corpus;
    pub(crate) mod history;
    pub(crate) mod source;
}

use std::collections::BTreeMap;

use lockstep_protocol::change::{ChainHead, derive};
use lockstep_protocol::document::{ChainFact, Document, DocumentError, build, compact};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::genesis::GENESIS_ACTOR;
use lockstep_protocol::id::{ActorId, DocumentKind, FactId, MessageId};
use lockstep_protocol::refusal::RefusalCode;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use support::bodies::Life;
use support::source::Source;
use support::{bodies, history};

/// `PROPTEST_CASES` runs more than what fits an ordinary test run.
fn cases(count: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(count);
    let failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")) as Box<_>);
    ProptestConfig { cases, failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn derived_changes_are_the_bytes_that_automerge_authors(bytes in vec(any::<u8>(), 0..1500)) {
        let (kind, facts) = history::history(&mut Source::new(&bytes), 48);
        let derived = history::derived(kind, &facts);
        let authored = history::authored(kind, &facts);
        for ((derived, authored), placed) in derived.iter().zip(&authored).zip(&facts) {
            prop_assert_eq!(hex::encode(derived), hex::encode(authored), "{:?}", placed);
        }
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn documents_merge_in_any_order_and_survive_saving(bytes in vec(any::<u8>(), 0..2500)) {
        let mut source = Source::new(&bytes);
        let order = source.array();
        let (kind, facts) = history::history(&mut source, 64);
        let life = Life::new(kind, &facts);
        life.all(order);
        bodies::stock_reads_every_fact(life.whole.automerge(), &facts);
    }
}

fn field(actor: u8, seq: u32, number: u128) -> ChainFact {
    let fact =
        Fact::Field { name: "name".into(), id: FactId::from_parts(1_790_000_000_000, number), value: "v".into() };
    ChainFact { actor: ActorId([actor; 16]), seq, fact }
}

#[test]
fn broken_chains_are_refused_before_automerge_sees_them() {
    /// Name; actor and seq of each fact; the seq that was due and the one that came.
    type Row = (&'static str, &'static [(u8, u32)], Option<(u32, u32)>);
    let rows: &[Row] = &[
        ("in order", &[(1, 1), (1, 2), (2, 1), (1, 3)], None),
        ("starts late", &[(1, 2)], Some((1, 2))),
        ("starts at 0", &[(1, 0)], Some((1, 0))),
        ("a hole", &[(1, 1), (2, 1), (1, 3)], Some((2, 3))),
        ("twice", &[(1, 1), (1, 1)], Some((2, 1))),
        ("at the end of numbers", &[(1, u32::MAX)], Some((1, u32::MAX))),
    ];
    for (name, chain, hole) in rows {
        let facts = chain.iter().enumerate().map(|(number, &(actor, seq))| field(actor, seq, number as u128));
        let mut document = Document::new(DocumentKind::Card).expect("an empty card");
        let before = document.automerge_heads();
        match (document.apply(facts), hole) {
            (Ok(()), None) => assert_eq!(document.heads().len(), 2, "{name}"),
            (Err(DocumentError::Hole { next, seq, .. }), Some(expected)) => {
                assert_eq!((next, seq), *expected, "{name}");
                assert_eq!(document.automerge_heads(), before, "{name}: nothing was applied");
                document.apply([field(1, 1, 0)]).expect("it goes on");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn facts_that_the_checks_refuse_do_not_reach_automerge() {
    let code = |placed: ChainFact| match build(DocumentKind::Card, [placed]) {
        Err(DocumentError::FactRefused { code, .. }) => Some(code),
        _ => None,
    };
    assert_eq!(code(ChainFact { actor: GENESIS_ACTOR, ..field(1, 1, 0) }), Some(RefusalCode::ActorForged));
    let misplaced = Fact::Edit { message: Default::default(), id: FactId::from_parts(1 << 40, 0), body: "x".into() };
    assert_eq!(code(ChainFact { fact: misplaced, ..field(1, 1, 0) }), Some(RefusalCode::WrongDocument));
    let nameless = Fact::Field { name: String::new(), id: FactId::from_parts(1 << 40, 0), value: String::new() };
    assert_eq!(code(ChainFact { fact: nameless, ..field(1, 1, 0) }), Some(RefusalCode::FieldInvalid));
}

#[test]
fn compaction_compares_with_the_expected_heads() {
    let kind = DocumentKind::Card;
    let facts: Vec<_> = (1..=4).map(|seq| field(1, seq, u128::from(seq))).collect();
    let expect = |count: usize| {
        let head = facts[..count]
            .iter()
            .fold(ChainHead::empty(kind), |head, placed| derive(&placed.actor, &head, &placed.fact));
        BTreeMap::from([(ActorId([1; 16]), head)])
    };
    let saved = compact(kind, None, facts[..2].to_vec(), &expect(2)).expect("a first snapshot");
    compact(kind, Some(&saved), facts[2..].to_vec(), &expect(4)).expect("the tail goes on top");
    let outcome = |base: Option<&[u8]>, count: usize| compact(kind, base, facts[2..].to_vec(), &expect(count));
    assert!(matches!(outcome(Some(&saved), 3), Err(DocumentError::HeadsDiffer)));
    assert!(matches!(outcome(None, 4), Err(DocumentError::Hole { .. })));
    for broken in [&saved[..saved.len() - 1], b"", b"\x85\x6f\x4a\x83"] {
        assert!(matches!(outcome(Some(broken), 4), Err(DocumentError::BaseUnusable(_))), "{broken:?}");
    }
    // A flipped bit anywhere is either noticed, or changes nothing.
    for at in 0..saved.len() * 8 {
        let mut flipped = saved.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        match outcome(Some(&flipped), 4) {
            Err(DocumentError::BaseUnusable(_)) => {}
            Ok(bytes) => assert_eq!(Document::load(kind, &bytes).expect("it loads").heads(), expect(4), "bit {at}"),
            Err(other) => panic!("bit {at}: {other}"),
        }
    }
}

#[test]
fn a_document_that_is_not_made_of_facts_is_refused() {
    use automerge::transaction::{CommitOptions, Transactable};
    use automerge::{ActorId as StockActor, Automerge, AutomergeError, Change, ObjType, ROOT, ReadDoc, ScalarValue};
    use lockstep_protocol::genesis::Genesis;

    type Author = fn(&mut automerge::transaction::Transaction<'_>) -> Result<(), AutomergeError>;
    let rows: &[(&str, Author)] = &[
        ("a root key", |tx| tx.put(ROOT, "other", "x")),
        ("a root map replaced", |tx| tx.put_object(ROOT, "fields", ObjType::Map).map(|_| ())),
        ("a number for a field", |tx| {
            let fields = tx.get(ROOT, "fields")?.expect("made by the genesis").1;
            tx.put(fields, "name/01ARZ3NDEKTSV4RRFFQ69G5FAV", ScalarValue::Uint(1))
        }),
        ("a key without a ULID", |tx| {
            let fields = tx.get(ROOT, "fields")?.expect("made by the genesis").1;
            tx.put(fields, "name", "x")
        }),
        ("a ULID in small letters", |tx| {
            let fields = tx.get(ROOT, "fields")?.expect("made by the genesis").1;
            tx.put(fields, "name/01arz3ndektsv4rrffq69g5fav", "x")
        }),
        ("two keys in one change", |tx| {
            let fields = tx.get(ROOT, "fields")?.expect("made by the genesis").1;
            tx.put(&fields, "name/01ARZ3NDEKTSV4RRFFQ69G5FAV", "x")?;
            tx.put(&fields, "name/01ARZ3NDEKTSV4RRFFQ69G5FAW", "x")
        }),
        ("a label that is neither on nor off", |tx| {
            let labels = tx.get(ROOT, "labels")?.expect("made by the genesis").1;
            tx.put(labels, "vip/01ARZ3NDEKTSV4RRFFQ69G5FAV", "maybe")
        }),
        ("a time", |tx| {
            let fields = tx.get(ROOT, "fields")?.expect("made by the genesis").1;
            tx.put(fields, "name/01ARZ3NDEKTSV4RRFFQ69G5FAV", "x")
        }),
    ];
    for (name, author) in rows {
        let mut stock = Automerge::new().with_actor(StockActor::from(&[7; 16][..]));
        let genesis = Change::try_from(Genesis::of(DocumentKind::Card).bytes).expect("a change");
        stock.apply_changes([genesis]).expect("the genesis applies");
        let options = |_: &()| CommitOptions::default().with_time(i64::from(*name == "a time"));
        stock.transact_with::<_, _, AutomergeError, _>(options, author).expect("stock Automerge writes anything");
        let error = Document::load(DocumentKind::Card, &stock.save()).expect_err(name);
        assert!(matches!(error, DocumentError::NotFacts(_)), "{name}: {error}");
    }
    for (name, bytes) in [
        ("no genesis", Automerge::new().save()),
        ("the other genesis", Document::new(DocumentKind::Segment).expect("empty").save()),
    ] {
        let error = Document::load(DocumentKind::Card, &bytes).expect_err(name);
        assert!(matches!(error, DocumentError::NotFacts(_)), "{name}: {error}");
    }
}

/// Sequence numbers, operation counters and actor tables beyond one byte of LEB128, as the largest segments have them.
#[test]
fn long_chains_and_many_actors() {
    let rows = [("one actor, 400 facts", 1_u32, 400_u32), ("140 actors, 2 facts each", 140, 2)];
    for (name, actors, length) in rows {
        let mut facts = Vec::new();
        for seq in 1..=length {
            for number in 0..actors {
                let mut actor = ActorId([b'l'; 16]);
                actor.0[..4].copy_from_slice(&(number * 0x00ab_cdef).to_be_bytes());
                let mut source = [3_u8; 40];
                source[..8].copy_from_slice(
                    &u64::from(seq * actors + number).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes(),
                );
                let mut fact = Source::new(&source).fact(DocumentKind::Segment, &[]);
                let id = u128::from(seq * actors + number);
                match &mut fact {
                    Fact::Message(message) => message.id = MessageId::from_parts(1_790_000_000_000, id),
                    Fact::Edit { id: fact_id, .. }
                    | Fact::Retraction { id: fact_id, .. }
                    | Fact::Reaction { id: fact_id, .. } => {
                        *fact_id = FactId::from_parts(1_790_000_000_000, id);
                    }
                    Fact::Field { .. } | Fact::Label { .. } => unreachable!("a segment's fact"),
                }
                facts.push(ChainFact { actor, seq, fact });
            }
        }
        assert_eq!(
            history::derived(DocumentKind::Segment, &facts),
            history::authored(DocumentKind::Segment, &facts),
            "{name}"
        );
        Life::new(DocumentKind::Segment, &facts).all(*b"anyorder");
    }
}

/// The hub refuses a second fact with a key (`KeyTaken`); should one ever get past it, no document breaks.
#[test]
fn a_key_written_twice_breaks_no_document() {
    let fact =
        |value: &str| Fact::Field { name: "name".into(), id: FactId::from_parts(1 << 41, 1), value: value.into() };
    let place = |actor, seq, value| ChainFact { actor: ActorId([actor; 16]), seq, fact: fact(value) };
    Life::new(DocumentKind::Card, &[place(1, 1, "a"), place(1, 2, "b"), place(2, 1, "c")]).all([1; 8]);
}

#[test]
fn the_fuzz_corpus_makes_sound_documents() {
    support::corpus::replay("fact_apply", bodies::fact_apply);
}
