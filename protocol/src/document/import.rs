//! An imported segment, built in one batch, as the hub's driver hands it to the core.

use bytes::Bytes;
use thiserror::Error;

use super::{ChainFact, DocumentError, compact};
use crate::fact::Fact;
use crate::import::{DerivedImport, ImportPlace, ImportRefusal};

/// A built imported segment.
#[derive(Clone, Debug)]
pub struct BuiltImport {
    /// Where it goes.
    pub place: ImportPlace,
    /// Its facts, in chain order.
    pub facts: Vec<Fact>,
    /// What they come to.
    pub derived: DerivedImport,
    /// The saved Automerge document, not compressed, proven to load again with exactly these facts.
    pub bytes: Bytes,
}

/// Why facts do not make an imported segment.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A fact cannot stand there.
    #[error("fact {} of the segment: {}", .0.at, .0.code)]
    Refused(ImportRefusal),
    /// Automerge did not do with checked changes what it should.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// Builds one imported segment from at most a segment's worth of facts, as [`arrange`](crate::import::arrange) cuts
/// them: the same checks as for a push, one batch, and the saved document loaded again. CPU work, for a worker.
///
/// # Errors
/// `Refused` as [`ImportPlace::derive`]; `Document` as [`compact`].
pub fn build_import(place: ImportPlace, facts: Vec<Fact>) -> Result<BuiltImport, ImportError> {
    let derived = place.derive(&facts).map_err(ImportError::Refused)?;
    let actor = place.actor();
    let placed = (1..).zip(&facts).map(|(seq, fact)| ChainFact { actor, seq, fact: fact.clone() }).collect();
    let bytes = compact(place.document.kind, None, placed, &[(actor, derived.head)].into())?.into();
    Ok(BuiltImport { place, facts, derived, bytes })
}
