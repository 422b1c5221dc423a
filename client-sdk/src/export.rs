//! A conversation's documents as Automerge files.

use std::collections::BTreeMap;

use lockstep_protocol::document::{self, ChainFact};
use lockstep_protocol::id::{ActorId, ChangeHash, ConversationId, DocumentId};
use lockstep_protocol::refusal::RefusalCode;

use crate::error::Error;
use crate::store::{Store, StoreError, WholeDocument};

/// A document as stock Automerge reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ExportedDocument {
    /// Which.
    pub document: DocumentId,
    /// Automerge's saved form, not compressed.
    pub bytes: Vec<u8>,
    /// Its heads, in ascending order.
    pub heads: Vec<ChangeHash>,
    /// Facts in it.
    pub facts: usize,
}

/// Builds the documents of a conversation from the rows of a store. Blocks.
pub(crate) fn documents(store: &Store, conversation: ConversationId) -> Result<Vec<ExportedDocument>, Error> {
    let rows = store.documents(conversation)?;
    if rows.is_empty() {
        return Err(Error::Rejected(RefusalCode::ConversationUnknown));
    }
    let mut exported = Vec::new();
    for WholeDocument { row, facts, waiting } in rows {
        let stamped = facts.into_iter().map(|row| {
            let placed = row.placed;
            ChainFact { actor: placed.actor, seq: placed.seq, fact: placed.fact }
        });
        // What waits in an abandoned chain will be written again under another.
        let own = row.own.map(|own| own.actor);
        let pending = waiting.into_iter().filter(|row| Some(row.actor) == own);
        let pending = pending.map(|row| ChainFact { actor: row.actor, seq: row.seq, fact: row.fact });
        let facts = whole_chains(stamped.chain(pending));
        let count = facts.len();
        let document = row.document;
        let built = document::build(document.kind, facts)
            .map_err(|error| StoreError::Damaged(format!("a document cannot be built: {error}")))?;
        exported.push(ExportedDocument { document, bytes: built.save(), heads: built.automerge_heads(), facts: count });
    }
    Ok(exported)
}

/// Every chain from its beginning up to its first hole: what lies behind one waits for what is missing.
fn whole_chains(facts: impl Iterator<Item = ChainFact>) -> Vec<ChainFact> {
    let mut chains: BTreeMap<(ActorId, u32), ChainFact> = BTreeMap::new();
    for placed in facts {
        chains.entry((placed.actor, placed.seq)).or_insert(placed);
    }
    let mut next: BTreeMap<ActorId, u32> = BTreeMap::new();
    let whole = chains.into_values().filter(|placed| {
        let expected = next.entry(placed.actor).or_insert(1);
        let follows = placed.seq == *expected;
        *expected += u32::from(follows);
        follows
    });
    whole.collect()
}
