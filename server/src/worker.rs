//! Workers beside the hub: rows are read and documents compacted here, never on the hub's own task.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use lockstep_core::effect::{Apply, Scan};
use lockstep_core::input::{ApplyFailure, Input};
use lockstep_core::query::{LoadFailure, Query};
use lockstep_core::row::SnapshotRow;
use lockstep_core::scan::hits;
use lockstep_protocol::document::{ChainFact, DocumentError, compact};
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::id::{ConversationId, Lsn};
use lockstep_protocol::snapshot::{Table, TableEvent, TableFact};

use crate::driver::Inbox;
use crate::store::{Store, StoreError, epoch_of};

/// Threads that read rows: enough that one slow page of the log does not hold up a handshake.
const READERS: usize = 2;
/// Of the thread that compacts: building a document takes milliseconds, which a message on a busy core must not wait.
const COMPACTION_NICENESS: i32 = 19;

/// What the thread for long work does.
#[derive(Debug)]
enum Job {
    Load(Query),
    Apply(Apply),
    Scan(Scan),
    Shred(ConversationId),
}

/// The threads, and the ways to them.
#[derive(Debug)]
pub(crate) struct Workers {
    queries: Option<Sender<Query>>,
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(store: &Arc<Store>, inbox: &Inbox) -> std::io::Result<Self> {
        let (queries, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let mut threads = Vec::new();
        for number in 0..READERS {
            let (store, inbox, waiting) = (Arc::clone(store), inbox.clone(), Arc::clone(&waiting));
            let thread = std::thread::Builder::new().name(format!("read-{number}"));
            threads.push(thread.spawn(move || read_all(&store, &waiting, &inbox))?);
        }
        let (jobs, waiting) = channel();
        let (store, inbox) = (Arc::clone(store), inbox.clone());
        let thread = std::thread::Builder::new().name("compact".into());
        threads.push(thread.spawn(move || {
            // On Linux a niceness is the calling thread's alone: setpriority(2), "C library/kernel differences".
            if let Err(error) = rustix::process::setpriority_process(None, COMPACTION_NICENESS) {
                tracing::warn!(%error, "compaction runs at the priority of everything else");
            }
            work_all(&store, &waiting, &inbox);
        })?);
        Ok(Self { queries: Some(queries), jobs: Some(jobs), threads })
    }

    /// Queues a question; it comes back as `Loaded`.
    pub(crate) fn load(&self, query: Query) {
        match query {
            // Nobody waits for these, and they take milliseconds: a push behind them would.
            Query::Ages { .. } | Query::Remains(_) => send(self.jobs.as_ref(), Job::Load(query)),
            query => send(self.queries.as_ref(), query),
        }
    }

    /// Queues a compaction; it comes back as `Applied`.
    pub(crate) fn apply(&self, apply: Apply) {
        send(self.jobs.as_ref(), Job::Apply(apply));
    }

    /// Queues a document to be looked at for words; it comes back as `Scanned`.
    pub(crate) fn scan(&self, scan: Scan) {
        send(self.jobs.as_ref(), Job::Scan(scan));
    }

    /// Queues a conversation whose keys are to be destroyed; it comes back as `Shredded`.
    pub(crate) fn shred(&self, conversation: ConversationId) {
        send(self.jobs.as_ref(), Job::Shred(conversation));
    }

    /// Ends the threads after what is queued.
    pub(crate) fn finish(mut self) {
        self.queries = None;
        self.jobs = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

fn send<T>(queue: Option<&Sender<T>>, job: T) {
    if queue.is_none_or(|queue| queue.send(job).is_err()) {
        tracing::error!("a worker thread is gone");
    }
}

fn read_all(store: &Store, waiting: &Mutex<Receiver<Query>>, inbox: &Inbox) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(query) = next else { return };
        load(store, query, inbox);
    }
}

fn load(store: &Store, query: Query, inbox: &Inbox) {
    let outcome = store.reader().answer(&query).map_err(|error| {
        tracing::error!(%error, "rows could not be read");
        LoadFailure
    });
    inbox.tell(Input::Loaded { query, outcome });
}

fn work_all(store: &Store, waiting: &Receiver<Job>, inbox: &Inbox) {
    while let Ok(job) = waiting.recv() {
        match job {
            Job::Load(query) => load(store, query, inbox),
            Job::Apply(apply) => {
                let outcome = compact_document(store, &apply);
                if let Ok(snapshot) = &outcome {
                    store.pack_ahead(apply.document, snapshot, apply.class);
                }
                inbox.tell(Input::Applied { document: apply.document, outcome });
            }
            Job::Shred(conversation) => {
                let done = store.shred(conversation);
                match &done {
                    Ok(keys) => tracing::info!(%conversation, keys, "a conversation's data keys are destroyed"),
                    Err(error) => {
                        tracing::error!(%error, %conversation, "a conversation could not be shredded yet; it is tried again");
                    }
                }
                inbox.tell(Input::Shredded { conversation, done: done.is_ok() });
            }
            Job::Scan(Scan { document, words }) => {
                let facts = store.reader().facts(document).map_err(|error| {
                    tracing::error!(%error, "a document could not be looked at for sensitive words");
                });
                let hits = facts.ok().map(|facts| hits(&*words, facts.iter().map(|(lsn, fact)| (*lsn, fact))));
                inbox.tell(Input::Scanned { document, hits });
            }
        }
    }
}

/// Builds a document's next snapshot from its last one and its entries in the log.
fn compact_document(store: &Store, apply: &Apply) -> Result<SnapshotRow, ApplyFailure> {
    let unreadable = |error: StoreError| {
        tracing::error!(%error, "a document could not be read");
        ApplyFailure::Unreadable
    };
    let reader = store.reader();
    let base = if apply.rebuild { None } else { reader.document_snapshot(apply.document).map_err(unreadable)? };
    let (after, mut table) = base.as_ref().map_or((Lsn::ZERO, Table::default()), |row| (row.upto, row.table.clone()));
    let epochs = reader.epochs().map_err(unreadable)?;
    let mut facts = Vec::new();
    for stored in reader.tail(apply.document, after, apply.upto).map_err(unreadable)? {
        let entry = Entry::from_bytes(&stored.bytes).ok_or(ApplyFailure::Unreadable)?;
        let epoch = table.epoch_index(epoch_of(&epochs, stored.lsn));
        match entry.body {
            EntryBody::Fact(placed) => {
                let (actor, seq) = (placed.actor, placed.seq);
                table.facts.push(TableFact { actor, seq, epoch, stamp: entry.stamp });
                facts.push(ChainFact { actor, seq, fact: placed.fact });
            }
            body => table.events.push(TableEvent { epoch, stamp: entry.stamp, body }),
        }
    }
    let saved = compact(apply.document.kind, base.as_ref().map(|row| &row.bytes[..]), facts, &apply.heads);
    let bytes = saved.map_err(|error| {
        tracing::error!(%error, document = ?apply.document, "a document could not be compacted");
        match error {
            DocumentError::BaseUnusable(_) => ApplyFailure::BaseDamaged,
            _ => ApplyFailure::Failed,
        }
    })?;
    Ok(SnapshotRow { upto: apply.upto, bytes: Bytes::from(bytes), table })
}
