//! The guarded worker: everything that runs Automerge's code, on a thread of its own, in order.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lockstep_client_core::effect::{Apply, JobId};
use lockstep_client_core::input::{AppliedDocument, ApplyFailure, ChainFact};
use lockstep_protocol::change::ChainHead;
use lockstep_protocol::document::{self, Document, DocumentError};
use lockstep_protocol::id::{ActorId, DocumentId};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tracing::warn;

/// What came of a job.
pub(crate) type Done = (JobId, DocumentId, Result<AppliedDocument, ApplyFailure>);

/// The live documents of open views.
#[derive(Default)]
pub(crate) struct Worker {
    live: BTreeMap<DocumentId, Document>,
}

/// Works until the driver lets go of its end. Blocks.
pub(crate) fn run(mut jobs: UnboundedReceiver<Apply>, done: &UnboundedSender<Done>) {
    let mut worker = Worker::default();
    while let Some(apply) = jobs.blocking_recv() {
        if let Some(outcome) = worker.apply(apply)
            && done.send(outcome).is_err()
        {
            return;
        }
    }
}

impl Worker {
    /// Does one job; a panic in it is a failure of it. [`Apply::Drop`] has no answer.
    pub(crate) fn apply(&mut self, apply: Apply) -> Option<Done> {
        let (job, document) = match &apply {
            Apply::Parse { job, document, .. }
            | Apply::Build { job, document, .. }
            | Apply::Extend { job, document, .. } => (*job, *document),
            Apply::Drop { document } => {
                self.live.remove(document);
                return None;
            }
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| self.work(apply)));
        let outcome = outcome.unwrap_or(Err(DocumentError::Panicked)).map_err(|error| {
            // What is left of it may be anything; the core has it built anew.
            self.live.remove(&document);
            warn!(%error, kind = ?document.kind, number = document.number, "a document could not be made");
            ApplyFailure
        });
        Some((job, document, outcome))
    }

    fn work(&mut self, apply: Apply) -> Result<AppliedDocument, DocumentError> {
        match apply {
            Apply::Parse { document, bytes, .. } => {
                let parsed = Document::load(document.kind, &bytes)?;
                let facts = parsed.facts()?.into_iter();
                let facts = facts.map(|placed| ChainFact { actor: placed.actor, seq: placed.seq, fact: placed.fact });
                Ok(AppliedDocument { facts: facts.collect(), heads: parsed.heads() })
            }
            Apply::Build { document, facts, heads, .. } => {
                let built = document::build(document.kind, facts.into_iter().map(placed))?;
                expect(&built, &heads)?;
                self.live.insert(document, built);
                Ok(AppliedDocument { facts: Vec::new(), heads })
            }
            Apply::Extend { document, facts, heads, .. } => {
                let live = self.live.get_mut(&document).ok_or(DocumentError::NotFacts("it was not built before"))?;
                live.apply(facts.into_iter().map(placed))?;
                expect(live, &heads)?;
                Ok(AppliedDocument { facts: Vec::new(), heads })
            }
            Apply::Drop { .. } => Ok(AppliedDocument { facts: Vec::new(), heads: BTreeMap::new() }),
        }
    }
}

fn expect(document: &Document, heads: &BTreeMap<ActorId, ChainHead>) -> Result<(), DocumentError> {
    if document.heads() == *heads { Ok(()) } else { Err(DocumentError::HeadsDiffer) }
}

/// A fact of the core's for the module that makes documents.
pub(crate) fn placed(fact: ChainFact) -> document::ChainFact {
    let ChainFact { actor, seq, fact } = fact;
    document::ChainFact { actor, seq, fact }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lockstep_protocol::change::derive;
    use lockstep_protocol::fact::Fact;
    use lockstep_protocol::id::{ConversationId, DocumentKind, FactId};

    use super::*;

    fn label(seq: u32) -> ChainFact {
        let id = FactId::from_parts(1_790_000_000_000, u128::from(seq));
        ChainFact { actor: ActorId([3; 16]), seq, fact: Fact::Label { label: format!("label {seq}"), id, on: true } }
    }

    fn heads(upto: u32) -> BTreeMap<ActorId, ChainHead> {
        let actor = ActorId([3; 16]);
        let empty = ChainHead::empty(DocumentKind::Card);
        let head = (1..=upto).fold(empty, |head, seq| derive(&actor, &head, &label(seq).fact));
        BTreeMap::from([(actor, head)])
    }

    #[test]
    fn documents_are_built_extended_parsed_and_doubted() {
        let document = DocumentId::card(ConversationId([1; 16]), 0);
        let mut worker = Worker::default();
        let job = JobId(1);
        let mut ask = |apply| worker.apply(apply).map(|(_, _, outcome)| outcome.map(|made| (made.facts, made.heads)));
        let built = |upto| Some(Ok((Vec::new(), heads(upto))));
        let failed = Some(Err(ApplyFailure));

        let build = Apply::Build { job, document, facts: vec![label(1), label(2)], heads: heads(2) };
        let extend = |seq| Apply::Extend { job, document, facts: vec![label(seq)], heads: heads(seq) };
        assert_eq!(ask(build.clone()), built(2));
        assert_eq!(ask(extend(3)), built(3));
        assert_eq!(ask(extend(5)), failed, "a hole");
        assert_eq!(ask(extend(4)), failed, "what failed must be built anew");
        assert_eq!(ask(build), built(2));
        assert_eq!(ask(Apply::Extend { job, document, facts: vec![label(3)], heads: heads(2) }), failed, "other heads");
        assert_eq!(ask(Apply::Drop { document }), None);

        let facts = vec![label(1), label(2)];
        let saved = document::build(DocumentKind::Card, facts.iter().cloned().map(placed)).expect("a document").save();
        let parse = |bytes: &[u8]| Apply::Parse { job, document, bytes: Bytes::copy_from_slice(bytes) };
        assert_eq!(ask(parse(&saved)), Some(Ok((facts, heads(2)))));
        for (what, bytes) in [("nothing", &b""[..]), ("half of it", &saved[..saved.len() / 2]), ("noise", b"noise")] {
            assert_eq!(ask(parse(bytes)), failed, "{what}");
        }
    }
}
