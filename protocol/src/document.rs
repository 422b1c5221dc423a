//! Automerge documents from facts, and facts from documents. The only module that knows Automerge.
//!
//! A document is its kind's genesis and one change a fact, nothing else; whoever loads one gets that proven by deriving
//! every change again. Chains are checked before Automerge sees a change, because Automerge queues a hole silently and
//! fails a whole batch for one bad change (DESIGN section 4). Everything that runs Automerge's code catches its panics.

mod extract;
mod import;

pub use self::import::{BuiltImport, ImportError, build_import};

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{Automerge, Change, ReadDoc};
use thiserror::Error;

use crate::change::{ChainHead, derive_into};
use crate::content::Content;
use crate::fact::Fact;
use crate::genesis::{GENESIS_ACTOR, Genesis};
use crate::id::{ActorId, ChangeHash, DocumentKind};
use crate::refusal::RefusalCode;

/// A fact at its place in one document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainFact {
    /// The chain.
    pub actor: ActorId,
    /// Place in the chain, from 1.
    pub seq: u32,
    /// The fact.
    pub fact: Fact,
}

/// Why facts or bytes do not make a document.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// A fact is not the next of its chain.
    #[error("chain {actor} goes on at {next}, not at {seq}")]
    Hole {
        /// The chain.
        actor: ActorId,
        /// The seq that it goes on at.
        next: u32,
        /// The seq that came.
        seq: u32,
    },
    /// A fact that the checks refuse: it must not reach Automerge.
    #[error("fact {seq} of chain {actor} breaks the rules: {code}")]
    FactRefused {
        /// The chain.
        actor: ActorId,
        /// The fact's place.
        seq: u32,
        /// What [`Fact::check`] says; `ActorForged` for a chain of the genesis actor.
        code: RefusalCode,
    },
    /// The heads are not the expected ones: a fact is missing, one too many, or derived otherwise.
    #[error("the document's heads differ from the expected ones")]
    HeadsDiffer,
    /// The bytes are an Automerge document, but hold something that no fact means.
    #[error("the document is not made of facts: {0}")]
    NotFacts(&'static str),
    /// The saved document that facts were to be added to cannot be used; build it again from its facts.
    #[error("the saved document cannot be used: {0}")]
    BaseUnusable(#[source] Box<DocumentError>),
    /// Automerge refused bytes or changes.
    #[error("automerge: {0}")]
    Automerge(#[from] automerge::AutomergeError),
    /// Automerge panicked (its message went to the panic hook), now or in an earlier call on this document.
    #[error("automerge panicked; build the document again from its facts")]
    Panicked,
}

/// One document with the heads of its chains.
#[derive(Clone)]
pub struct Document {
    kind: DocumentKind,
    automerge: Automerge,
    chains: BTreeMap<ActorId, ChainHead>,
    /// Automerge failed half-way through a change of this document.
    broken: bool,
}

/// Builds a document from its facts in one batch. Facts of one chain come in order of seq, without holes; chains may
/// interleave.
///
/// # Errors
/// `Hole`, `FactRefused`; `Automerge`, `HeadsDiffer` or `Panicked` if Automerge does not do with checked changes what
/// it should.
pub fn build(kind: DocumentKind, facts: impl IntoIterator<Item = ChainFact>) -> Result<Document, DocumentError> {
    let mut document = Document { kind, automerge: Automerge::new(), chains: BTreeMap::new(), broken: false };
    document.extend(vec![Change::try_from(Genesis::of(kind).bytes).map_err(unreadable)?], facts)?;
    Ok(document)
}

/// For a hub's worker: the saved bytes of `base` (none: a new document) with `facts` added, proven to load again with
/// exactly the chains of `expect`.
///
/// # Errors
/// `BaseUnusable` if `base` does not load: then build from all facts instead. `HeadsDiffer` if the chains are not
/// those expected, before saving or after loading again. Else as [`build`].
pub fn compact(
    kind: DocumentKind,
    base: Option<&[u8]>,
    facts: Vec<ChainFact>,
    expect: &BTreeMap<ActorId, ChainHead>,
) -> Result<Vec<u8>, DocumentError> {
    let document = match base {
        None => build(kind, facts)?,
        Some(bytes) => {
            let mut document =
                Document::load(kind, bytes).map_err(|error| DocumentError::BaseUnusable(Box::new(error)))?;
            document.apply(facts)?;
            document
        }
    };
    if document.chains != *expect {
        return Err(DocumentError::HeadsDiffer);
    }
    let bytes = guarded(|| Ok(document.save()))?;
    if Document::load(kind, &bytes)?.chains == *expect { Ok(bytes) } else { Err(DocumentError::HeadsDiffer) }
}

/// Every fact of saved bytes with its change's hash, as Automerge finds them. For bytes that [`compact`] wrote and that
/// were kept well: that they are made of facts is not proven again, which [`Document::load`] does.
///
/// # Errors
/// `Automerge`, `NotFacts` or `Panicked`.
pub fn saved_facts(kind: DocumentKind, bytes: &[u8]) -> Result<Vec<(ChainFact, ChangeHash)>, DocumentError> {
    guarded(|| {
        let mut facts = Vec::new();
        extract::facts(kind, &Automerge::load(bytes)?, |placed, hash| {
            facts.push((placed, hash));
            Ok(())
        })?;
        Ok(facts)
    })
}

impl Document {
    /// A document without facts.
    ///
    /// # Errors
    /// Only if Automerge does not take the genesis.
    pub fn new(kind: DocumentKind) -> Result<Self, DocumentError> {
        build(kind, [])
    }

    /// Reads what [`Document::save`] (or Automerge's own `save`) wrote, and proves that it is made of facts: every fact
    /// is read out of its change, checked, derived again, and must give the same hash.
    ///
    /// # Errors
    /// `Automerge`, `NotFacts`, `FactRefused` or `Panicked`.
    pub fn load(kind: DocumentKind, bytes: &[u8]) -> Result<Self, DocumentError> {
        guarded(|| {
            let automerge = Automerge::load(bytes)?;
            if !automerge.get_missing_deps(&[]).is_empty() {
                return Err(DocumentError::NotFacts("a change builds on one that is not there"));
            }
            let mut chains = BTreeMap::new();
            let mut chunk = Vec::with_capacity(512);
            extract::facts(kind, &automerge, |placed, hash| {
                let head = next(kind, &mut chains, &placed)?;
                *head = derive_into(&placed.actor, head, &placed.fact, &mut chunk);
                if head.hash == hash { Ok(()) } else { Err(DocumentError::NotFacts("a change is not its fact's")) }
            })?;
            let document = Self { kind, automerge, chains, broken: false };
            document.heads_fit()?;
            Ok(document)
        })
    }

    /// Adds facts in one batch, under the rules of [`build`]. Either all are added or none.
    ///
    /// # Errors
    /// `Hole` and `FactRefused` leave the document as it was. After `Automerge`, `HeadsDiffer` or `Panicked` it is
    /// broken: it refuses everything with `Panicked` and must be built again from its facts.
    pub fn apply(&mut self, facts: impl IntoIterator<Item = ChainFact>) -> Result<(), DocumentError> {
        self.extend(Vec::new(), facts)
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> DocumentKind {
        self.kind
    }

    /// The head of every chain.
    #[must_use]
    pub fn heads(&self) -> BTreeMap<ActorId, ChainHead> {
        self.chains.clone()
    }

    /// The heads as Automerge gives them, in ascending order: the hashes of the chains' heads, or the genesis's alone.
    #[must_use]
    pub fn automerge_heads(&self) -> Vec<ChangeHash> {
        let mut heads: Vec<_> = self.automerge.get_heads().iter().map(|hash| ChangeHash(hash.0)).collect();
        heads.sort_unstable();
        heads
    }

    /// The stock Automerge document, for readers.
    #[must_use]
    pub const fn automerge(&self) -> &Automerge {
        &self.automerge
    }

    /// The saved document, not compressed: whoever keeps it compresses it as a whole.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        self.automerge.save_nocompress()
    }

    /// Every fact, each chain in order of seq, in the order in which Automerge keeps the changes.
    ///
    /// # Errors
    /// `Panicked` on a broken document.
    pub fn facts(&self) -> Result<Vec<ChainFact>, DocumentError> {
        if self.broken {
            return Err(DocumentError::Panicked);
        }
        guarded(|| {
            let mut facts = Vec::new();
            extract::facts(self.kind, &self.automerge, |placed, _| {
                facts.push(placed);
                Ok(())
            })?;
            Ok(facts)
        })
    }

    /// What a reader sees: of every key the highest ULID's value.
    ///
    /// # Errors
    /// As [`Document::facts`].
    pub fn content(&self) -> Result<Content, DocumentError> {
        let mut content = Content::default();
        self.facts()?.iter().for_each(|placed| content.add(&placed.fact));
        Ok(content)
    }

    fn extend(
        &mut self,
        mut changes: Vec<Change>,
        facts: impl IntoIterator<Item = ChainFact>,
    ) -> Result<(), DocumentError> {
        if self.broken {
            return Err(DocumentError::Panicked);
        }
        let mut chains = self.chains.clone();
        let mut chunk = Vec::with_capacity(512);
        for placed in facts {
            let head = next(self.kind, &mut chains, &placed)?;
            *head = derive_into(&placed.actor, head, &placed.fact, &mut chunk);
            changes.push(Change::try_from(chunk.as_slice()).map_err(unreadable)?);
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.broken = true;
        self.chains = chains;
        guarded(|| {
            self.automerge.apply_changes(changes)?;
            self.heads_fit()
        })?;
        self.broken = false;
        Ok(())
    }

    /// Nothing is queued, nothing beside the chains is there.
    fn heads_fit(&self) -> Result<(), DocumentError> {
        let mut expected: Vec<_> = self.chains.values().map(|head| head.hash).collect();
        if expected.is_empty() {
            expected.push(Genesis::of(self.kind).hash);
        }
        expected.sort_unstable();
        if self.automerge_heads() == expected { Ok(()) } else { Err(DocumentError::HeadsDiffer) }
    }
}

impl core::fmt::Debug for Document {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { kind, chains, broken, .. } = self;
        f.debug_struct("Document").field("kind", kind).field("chains", chains).field("broken", broken).finish()
    }
}

/// The head that a fact builds on, if it is the next of its chain and passes the checks.
fn next<'a>(
    kind: DocumentKind,
    chains: &'a mut BTreeMap<ActorId, ChainHead>,
    placed: &ChainFact,
) -> Result<&'a mut ChainHead, DocumentError> {
    let &ChainFact { actor, seq, ref fact } = placed;
    let refused = |code| DocumentError::FactRefused { actor, seq, code };
    if actor == GENESIS_ACTOR {
        return Err(refused(RefusalCode::ActorForged));
    }
    fact.check(kind).map_err(refused)?;
    let next = chains.get(&actor).map_or(0, |head| head.seq).saturating_add(1);
    if seq != next {
        return Err(DocumentError::Hole { actor, next, seq });
    }
    Ok(chains.entry(actor).or_insert_with(|| ChainHead::empty(kind)))
}

/// Runs Automerge code. It panics on states that it believes impossible; the caller then drops what it worked on.
fn guarded<T>(work: impl FnOnce() -> Result<T, DocumentError>) -> Result<T, DocumentError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DocumentError::Panicked))
}

fn unreadable(_: automerge::LoadChangeError) -> DocumentError {
    DocumentError::NotFacts("a derived change cannot be read")
}
