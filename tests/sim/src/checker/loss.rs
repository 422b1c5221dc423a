//! Nothing acknowledged is lost or doubled.

use std::collections::BTreeMap;

use lockstep_protocol::fact::KeyId;
use lockstep_protocol::id::{ConversationId, Epoch, Lsn};

use lockstep_protocol::entry::{EntryBody, Stamp};
use lockstep_protocol::id::HashPrefix;

use super::{Checker, Violation};

/// What devices were told stands, since the disk was last replaced by an older one.
#[derive(Debug, Default)]
pub struct Acknowledged {
    facts: BTreeMap<(ConversationId, KeyId), (Epoch, Lsn)>,
}

impl Acknowledged {
    /// A device received the Ack of a fact.
    pub fn take(&mut self, conversation: ConversationId, key: KeyId, epoch: Epoch, lsn: Lsn) {
        self.facts.insert((conversation, key), (epoch, lsn));
    }

    /// What these keys stood for is gone, and was told to be.
    pub fn forget(&mut self, gone: impl Iterator<Item = (ConversationId, KeyId)>) {
        for key in gone {
            self.facts.remove(&key);
        }
    }

    /// The disk went back: what it lost was never promised to survive that.
    pub fn forget_after(&mut self, head: Lsn) {
        self.facts.retain(|_, (_, lsn)| *lsn <= head);
    }
}

impl Checker {
    /// A device received the Ack of a fact. One from before the disk went back may name a place that is another's now.
    pub fn acknowledge(&mut self, hash: HashPrefix, stamp: &Stamp) {
        let at = usize::try_from(stamp.lsn.0).unwrap_or(usize::MAX).wrapping_sub(1);
        let Some(recorded) = self.model.entries.get(at) else { return };
        if let EntryBody::Fact(placed) = &recorded.entry.body
            && placed.hash == hash
            && recorded.entry.stamp == *stamp
        {
            let (conversation, key) = (placed.document.conversation, placed.fact.key_id());
            // An Ack may come long after what it is about has gone.
            let model = &self.model;
            if model.gone.contains_key(&placed.document) || model.shredded.contains_key(&conversation) {
                return;
            }
            self.acknowledged.take(conversation, key, recorded.epoch, stamp.lsn);
        }
    }

    /// Everything acknowledged stands in the log, under its key.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check_acknowledged(&self) -> Result<(), Violation> {
        for ((conversation, key), (_, lsn)) in &self.acknowledged.facts {
            match self.model.keys.get(&(*conversation, *key)) {
                Some(found) if found == lsn => {}
                found => {
                    return Violation::fail(
                        "acknowledged-lost",
                        format!("{key:?} of {conversation:?} was acknowledged at {lsn:?}, the log has {found:?}"),
                    );
                }
            }
        }
        Ok(())
    }
}
