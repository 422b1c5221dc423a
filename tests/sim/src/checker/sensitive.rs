//! Sensitive words: every fact that holds one is stored under the stricter keys from its first batch on, its message
//! carries the mark in that same batch, and no snapshot takes it out again.

use lockstep_core::effect::Batch;
use lockstep_core::row::{Class, Write};
use lockstep_core::sensitive::{Words, texts};
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::id::{MemberId, MessageId};

use super::{Checker, Violation};
use crate::words::SimWords;

/// Whether a fact about a message is re-admitted by a batch: the message itself may have gone, or come back later.
fn speaks_of(batch: &Batch, message: MessageId) -> bool {
    let entries = batch.entries.iter().filter_map(|logged| Entry::from_bytes(&logged.bytes));
    entries.into_iter().any(|entry| match entry.body {
        EntryBody::Fact(placed) => placed.origin.is_some() && placed.fact.target() == Some(message),
        _ => false,
    })
}

impl Checker {
    /// A batch became durable.
    pub(super) fn check_sensitive(&mut self, batch: &Batch) -> Result<(), Violation> {
        for logged in &batch.entries {
            let Some(entry) = Entry::from_bytes(&logged.bytes) else { continue };
            match entry.body {
                EntryBody::Fact(placed) => {
                    if logged.class == Class::Vault {
                        self.model.vault.entry(placed.document).or_insert(logged.lsn);
                    }
                    for category in texts(&placed.fact).flat_map(|text| SimWords.categories(text)) {
                        let about = match &placed.fact {
                            Fact::Message(message) => Some(message.id),
                            other => other.target(),
                        };
                        let conversation = placed.document.conversation;
                        let marked =
                            about.is_none_or(|about| self.model.marks.contains(&(conversation, about, category)));
                        if logged.class != Class::Vault || !marked {
                            let text = format!("{:?} holds a word of {category:?}: {placed:?}", logged.lsn);
                            return Violation::fail("sensitive", text);
                        }
                    }
                }
                EntryBody::Sensitive { document, message, .. } => {
                    let known = self.model.messages.contains_key(&(document.conversation, message))
                        || speaks_of(batch, message);
                    if entry.stamp.member != MemberId::HUB || !known {
                        return Violation::fail("sensitive", format!("a mark of nothing: {:?}", logged.lsn));
                    }
                }
                _ => {}
            }
        }
        for write in &batch.writes {
            if let Write::Snapshot(document, row, class) = write
                && self.model.vault.get(document).is_some_and(|first| *first <= row.upto)
                && *class != Class::Vault
            {
                return Violation::fail("sensitive", format!("the snapshot of {document:?} is not stored strictly"));
            }
        }
        Ok(())
    }
}
