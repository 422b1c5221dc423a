//! The life of a document made of whatever facts the checks accept: a fuzz target's body, and property tests'.

use std::collections::BTreeMap;

use automerge::{Automerge, Change, ROOT, ReadDoc, Value};
use lockstep_protocol::document::{ChainFact, Document, build, compact};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::genesis::Genesis;
use lockstep_protocol::id::{ActorId, ChangeHash, DocumentKind};

use super::history::{derived, history};
use super::source::Source;

/// Bytes as facts of several actors, which must make a sound document. The first byte chooses what happens to it: all
/// at once would make fuzzing slow.
pub(crate) fn fact_apply(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let (stage, order) = (source.byte(), source.array());
    let (kind, facts) = history(&mut source, 64);
    let life = Life::new(kind, &facts);
    match stage % 4 {
        0 => life.survives_saving(),
        1 => life.compacts(),
        2 => life.arrives_in_any_order(order),
        _ => life.merges_without_a_hub(),
    }
}

/// A history and the document of it.
pub(crate) struct Life<'a> {
    kind: DocumentKind,
    facts: &'a [ChainFact],
    pub(crate) whole: Document,
    heads: Vec<ChangeHash>,
}

impl<'a> Life<'a> {
    /// What the checks accept builds, and comes out again as it went in.
    pub(crate) fn new(kind: DocumentKind, facts: &'a [ChainFact]) -> Self {
        for placed in facts {
            assert_eq!(placed.fact.check(kind), Ok(()), "{placed:?}");
        }
        let whole = build(kind, facts.iter().cloned()).expect("checked facts build");
        assert_eq!(by_chain(whole.facts().expect("readable")), by_chain(facts.to_vec()));
        let heads = whole.automerge_heads();
        Self { kind, facts, whole, heads }
    }

    /// Everything that can happen to a document.
    pub(crate) fn all(&self, order: [u8; 8]) {
        self.survives_saving();
        self.compacts();
        self.arrives_in_any_order(order);
        self.merges_without_a_hub();
    }

    /// Saved either way, loaded by this crate and by stock Automerge.
    pub(crate) fn survives_saving(&self) {
        for saved in [self.whole.save(), self.whole.automerge().save()] {
            let loaded = Document::load(self.kind, &saved).expect("a saved document loads");
            assert_eq!(loaded.heads(), self.whole.heads());
            assert_eq!(loaded.automerge_heads(), self.heads);
            let stock = Automerge::load(&saved).expect("stock Automerge loads it");
            assert_eq!(stock.hydrate(None), self.whole.automerge().hydrate(None));
        }
    }

    /// A batch on top of a saved half is the whole.
    pub(crate) fn compacts(&self) {
        let (early, late) = self.facts.split_at(self.facts.len() / 2);
        let base = build(self.kind, early.iter().cloned()).expect("the first half builds").save();
        let saved = compact(self.kind, Some(&base), late.to_vec(), &self.whole.heads()).expect("the rest goes on top");
        assert_eq!(Document::load(self.kind, &saved).expect("it loads").automerge_heads(), self.heads);
    }

    /// Changes come in any order, in batches of any size, some of them twice. The order follows from `seed`.
    pub(crate) fn arrives_in_any_order(&self, seed: [u8; 8]) {
        let mut changes: Vec<Change> = derived(self.kind, self.facts)
            .iter()
            .map(|chunk| Change::try_from(&chunk[..]).expect("a change"))
            .collect();
        changes.push(Change::try_from(Genesis::of(self.kind).bytes).expect("a change"));
        let mut random = u64::from_le_bytes(seed);
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
        assert_eq!(stock_heads(&stock), self.heads);
        assert_eq!(stock.hydrate(None), self.whole.automerge().hydrate(None));
    }

    /// Two replicas that never met a hub, each with some of the actors, are saved, and merged by stock Automerge.
    pub(crate) fn merges_without_a_hub(&self) {
        let side = |left: bool| {
            let part = self.facts.iter().filter(|placed| (placed.actor.0[15] & 1 == 0) == left).cloned();
            Automerge::load(&build(self.kind, part).expect("a part builds").save()).expect("it loads")
        };
        let (mut left, mut right) = (side(true), side(false));
        left.merge(&mut right).expect("replicas merge");
        assert_eq!(stock_heads(&left), self.heads);
        assert_eq!(left.hydrate(None), self.whole.automerge().hydrate(None));
        let merged = Document::load(self.kind, &left.save()).expect("a merged document is made of facts");
        assert_eq!(merged.content().expect("readable"), self.whole.content().expect("readable"));
    }
}

/// A stock Automerge document has every fact under its key, for a history that writes no key twice.
pub(crate) fn stock_reads_every_fact(stock: &Automerge, facts: &[ChainFact]) {
    let mut key = String::new();
    for fact in facts.iter().map(|placed| &placed.fact) {
        fact.write_key(&mut key);
        let (_, container) = stock.get(ROOT, fact.container().name()).expect("readable").expect("from the genesis");
        let (value, object) = stock.get(&container, key.as_str()).expect("readable").expect("the key is written");
        let text = |value: &Value<'_>| value.as_str().map(str::to_owned);
        let field = |name: &str| stock.get(&object, name).expect("readable").map(|(value, _)| value);
        match fact {
            Fact::Message(message) => {
                let texts = |name| field(name).as_ref().and_then(text);
                let number = |name| field(name).and_then(|value| value.as_u64());
                let media = message.media.as_ref();
                assert_eq!(number("by"), Some(u64::from(message.by.0)));
                assert_eq!(texts("dir").as_deref(), Some(message.dir.as_str()));
                assert_eq!(texts("kind").as_ref(), Some(&message.kind));
                assert_eq!(texts("body").as_ref(), Some(&message.body));
                assert_eq!(texts("seen"), message.seen.map(|id| id.to_string()));
                assert_eq!(texts("re"), message.re.map(|id| id.to_string()));
                assert_eq!(texts("media"), media.map(|media| media.hash.to_string()));
                assert_eq!(texts("media_type"), media.map(|media| media.media_type.clone()));
                assert_eq!(texts("media_name"), media.map(|media| media.name.clone()));
                assert_eq!(number("media_size"), media.map(|media| media.size));
                assert_eq!(texts("src"), message.src);
                assert_eq!(stock.length(&object), usize::try_from(fact.ops()).expect("few") - 1);
            }
            Fact::Edit { body: expected, .. }
            | Fact::Retraction { reason: expected, .. }
            | Fact::Reaction { emoji: expected, .. }
            | Fact::Field { value: expected, .. } => assert_eq!(text(&value).as_ref(), Some(expected)),
            Fact::Label { on, .. } => assert_eq!(text(&value).as_deref(), Some(if *on { "on" } else { "off" })),
        }
    }
}

fn by_chain(facts: Vec<ChainFact>) -> BTreeMap<ActorId, Vec<ChainFact>> {
    let mut chains = BTreeMap::<ActorId, Vec<ChainFact>>::new();
    facts.into_iter().for_each(|placed| chains.entry(placed.actor).or_default().push(placed));
    chains
}

fn stock_heads(stock: &Automerge) -> Vec<ChangeHash> {
    let mut heads: Vec<_> = stock.get_heads().iter().map(|hash| ChangeHash(hash.0)).collect();
    heads.sort_unstable();
    heads
}
