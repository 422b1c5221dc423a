//! The commit thread: the only writer of the store. Whatever batches wait go into one write with one sync.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use lockstep_core::effect::{Batch, Ticket};
use lockstep_core::input::Input;

use crate::driver::Inbox;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};

/// Batches that one sync may cover: bounds the size of one write.
const GROUP_BATCHES_MAX: usize = 4_096;

/// The thread, and the way to it.
#[derive(Debug)]
pub(crate) struct Committer {
    batches: Option<Sender<Batch>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<RwLock<Option<StoreError>>>,
}

impl Committer {
    /// Starts the thread. It answers each group with one `Committed`, or once with `CommitFailed`, and then ends.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(store: Arc<Store>, inbox: Inbox, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (batches, waiting) = channel();
        let failure = Arc::new(RwLock::new(None));
        let report = Arc::clone(&failure);
        let thread = std::thread::Builder::new().name("commit".into()).spawn(move || {
            if let Err(error) = commit_all(&store, &waiting, &inbox, &metrics) {
                *report.write().unwrap_or_else(PoisonError::into_inner) = Some(error);
                inbox.tell(Input::CommitFailed);
            }
        })?;
        Ok(Self { batches: Some(batches), thread: Some(thread), failure })
    }

    /// Queues a batch.
    pub(crate) fn commit(&self, batch: Batch) {
        // After a failure the thread is gone: the batch is dropped unacknowledged, and the hub is about to stop.
        if let Some(batches) = &self.batches
            && batches.send(batch).is_err()
        {
            tracing::debug!("a batch came after the log had failed");
        }
    }

    /// Waits until everything queued is durable, ends the thread, and answers why it failed, if it did.
    #[must_use]
    pub(crate) fn finish(mut self) -> Option<StoreError> {
        self.batches = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the commit thread panicked");
        }
        self.failure.write().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn commit_all(store: &Store, waiting: &Receiver<Batch>, inbox: &Inbox, metrics: &Metrics) -> Result<(), StoreError> {
    let mut group = Vec::new();
    while let Ok(first) = waiting.recv() {
        group.push(first);
        group.extend(waiting.try_iter().take(GROUP_BATCHES_MAX - 1));
        let started = std::time::Instant::now();
        store.commit(&group)?;
        let entries = group.iter().map(|batch| batch.entries.len() as u64).sum();
        metrics.committed(entries, started.elapsed());
        let newest: Option<Ticket> = group.last().map(|batch| batch.ticket);
        group.clear();
        if let Some(ticket) = newest {
            inbox.tell(Input::Committed { ticket });
        }
    }
    Ok(())
}
