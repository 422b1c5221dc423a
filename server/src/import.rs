//! The bulk path for imports: what the hub knows is left out, the rest is built into segments beside the hub and
//! committed one segment at a time.

use std::collections::BTreeMap;

use lockstep_core::input::{IMPORT_KEYS_MAX, ImportSegment};
use lockstep_protocol::document::build_import;
use lockstep_protocol::fact::{Fact, KeyId};
use lockstep_protocol::frame::Outcome;
use lockstep_protocol::id::{ConversationId, DocumentId, HubId, ImportId};
use lockstep_protocol::import::{self, ImportPlace, Known};
use lockstep_protocol::refusal::{Refusal, RefusalCode};
use thiserror::Error;

use crate::admin::ImportReport;
use crate::driver::{HubHandle, Stopping};

/// Another import may come in between this often before one gives up.
const ATTEMPTS_MAX: usize = 16;

/// Why an import ended early. What it had committed until then stays, and a rerun goes on behind it.
#[derive(Debug, Error)]
pub(crate) enum ImportError {
    /// The hub is stopping.
    #[error("the hub is stopping; run the import again when it is back, it goes on where it ended")]
    Stopping(#[from] Stopping),
    /// The hub said no.
    #[error("the hub refused: {}", .0.message)]
    Refused(Box<Refusal>),
    /// A segment could not be built.
    #[error("a segment could not be built: {0}")]
    Building(String),
}

/// Imports the facts of one conversation, which must exist.
///
/// # Errors
/// See [`ImportError`].
pub(crate) async fn run(
    hub: &HubHandle,
    id: HubId,
    conversation: ConversationId,
    run: ImportId,
    facts: Vec<Fact>,
) -> Result<ImportReport, ImportError> {
    let keys = import::keys(&facts);
    let mut known: BTreeMap<KeyId, Known> = BTreeMap::new();
    let mut next = hub.import_asked(conversation, Vec::new()).await?.map_err(ImportError::Refused)?.document;
    for page in keys.chunks(IMPORT_KEYS_MAX) {
        let plan = hub.import_asked(conversation, page.to_vec()).await?.map_err(ImportError::Refused)?;
        next = plan.document;
        known.extend(page.iter().copied().zip(plan.known));
    }
    let (sifted, segments) = aside(move || {
        let mut sifted = import::sift(facts, &known);
        let segments = import::arrange(std::mem::take(&mut sifted.fresh));
        (sifted, segments)
    })
    .await?;
    let mut done = ImportReport { known: sifted.known.len() as u64, ..ImportReport::default() };
    for (_, code) in sifted.refused {
        *done.refused.entry(code.to_string()).or_default() += 1;
    }
    for segment in segments {
        let count = segment.len() as u64;
        next = write(hub, id, run, next, segment).await?;
        done.kept += count;
        done.segments += 1;
    }
    Ok(done)
}

/// Builds and commits one segment; answers the document that comes after it.
async fn write(
    hub: &HubHandle,
    id: HubId,
    import: ImportId,
    mut document: DocumentId,
    facts: Vec<Fact>,
) -> Result<DocumentId, ImportError> {
    for _ in 0..ATTEMPTS_MAX {
        let (place, again) = (ImportPlace { hub: id, import, document }, facts.clone());
        let built = aside(move || build_import(place, again)).await?;
        let built = built.map_err(|error| ImportError::Building(error.to_string()))?;
        let segment =
            ImportSegment { document, import, facts: built.facts, head: built.derived.head, bytes: built.bytes };
        match hub.import_built(segment).await? {
            Outcome::Refused(refusal) => match (refusal.known(), refusal.open) {
                // Another import came in between: once more, behind it.
                (Some(RefusalCode::DocumentUnknown), Some(open)) => document = open,
                _ => return Err(ImportError::Refused(Box::new(refusal))),
            },
            _ => return Ok(DocumentId { number: document.number + 1, ..document }),
        }
    }
    Err(ImportError::Refused(Box::new(RefusalCode::Busy.into())))
}

/// CPU work, away from the hub's task.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ImportError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ImportError::Building("the worker panicked".into()))
}
