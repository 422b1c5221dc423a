//! The thread that writes and reads for the core: transactions in order, those that wait together in one commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use lockstep_client_core::effect::{Ticket, Transaction};
use lockstep_client_core::query::{Answer, LoadFailure, Query};
use lockstep_client_core::row::Write;
use lockstep_protocol::id::{ConversationId, DocumentId};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tracing::{debug, error, warn};

use super::{Store, StoreError};

/// Transactions that one commit takes at most.
const GROUP_MAX: usize = 1_024;

/// What the driver wants of the store. The driver takes nothing new in while much of it waits.
#[derive(Debug)]
pub(crate) enum Task {
    /// Make it durable.
    Persist(Transaction),
    /// Read.
    Load(Query),
}

/// What the store did.
#[derive(Debug)]
pub(crate) enum Done {
    /// Everything up to this one is durable.
    Persisted(Ticket),
    /// It cannot be written; nothing follows.
    Failed(StoreError),
    /// The answer to a question.
    Loaded(Query, Result<Answer, LoadFailure>),
}

/// Works until the driver lets go of its end, or a write fails. Blocks.
pub(crate) fn run(store: &Arc<Store>, mut tasks: UnboundedReceiver<Task>, done: &UnboundedSender<Done>) {
    let mut next = tasks.blocking_recv();
    while let Some(task) = next.take() {
        let said = match task {
            Task::Load(query) => {
                let outcome = store.load(&query).map_err(|error| {
                    warn!(%error, "rows of the device's store cannot be read");
                    LoadFailure
                });
                Done::Loaded(query, outcome)
            }
            Task::Persist(first) => {
                let mut group = vec![first];
                while group.len() < GROUP_MAX && next.is_none() {
                    match tasks.try_recv() {
                        Ok(Task::Persist(transaction)) => group.push(transaction),
                        Ok(other) => next = Some(other),
                        Err(_) => break,
                    }
                }
                let newest = group.last().map_or(Ticket(0), |transaction| transaction.ticket);
                match store.write(newest_rows(group)) {
                    Ok(()) => Done::Persisted(newest),
                    Err(error) => {
                        error!(%error, "the device's store cannot be written");
                        tell(done, Done::Failed(error));
                        return;
                    }
                }
            }
        };
        tell(done, said);
        if next.is_none() {
            next = tasks.blocking_recv();
        }
    }
}

/// The writes of a group in order, without rows that a later one of the same key replaces: transactions of one device
/// write the same few over and over.
fn newest_rows(group: Vec<Transaction>) -> Vec<Write> {
    let mut replaced = BTreeSet::new();
    let mut writes: Vec<Write> = group.into_iter().rev().flat_map(|one| one.writes.into_iter().rev()).collect();
    writes.retain(|write| {
        replaced.insert(match write {
            Write::Meta(_) => Replaced::Meta,
            Write::Team(_) => Replaced::Team,
            Write::Conversation(row) => Replaced::Conversation(row.conversation.id),
            Write::Document(row) => Replaced::Document(row.document),
            _ => return true,
        })
    });
    writes.reverse();
    writes
}

/// See [`newest_rows`].
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Replaced {
    Meta,
    Team,
    Conversation(ConversationId),
    Document(DocumentId),
}

fn tell(done: &UnboundedSender<Done>, said: Done) {
    if done.send(said).is_err() {
        debug!("the driver ended first; what it handed over is written all the same");
    }
}

#[cfg(test)]
mod tests {
    use lockstep_client_core::row::Meta;

    use super::*;

    #[test]
    fn of_a_row_that_is_written_again_the_newest_stands() {
        let meta = |clock_ms| Write::Meta(Box::new(Meta { clock_ms, ..Meta::default() }));
        let forget = Write::Forget(ConversationId([1; 16]));
        let group = vec![
            Transaction { ticket: Ticket(1), writes: vec![meta(1), Write::OutboxGone(1)] },
            Transaction { ticket: Ticket(2), writes: vec![meta(2), forget.clone(), Write::OutboxGone(1)] },
        ];
        assert_eq!(newest_rows(group), [Write::OutboxGone(1), meta(2), forget, Write::OutboxGone(1)]);
    }
}
