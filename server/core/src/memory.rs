//! Which conversations stay in memory: those that something needs, and of the others those that were used last.

use lockstep_protocol::id::ConversationId;

use crate::conversation::{Presence, Slot};
use crate::hub::Hub;

impl Hub {
    /// Marks a conversation as used now.
    pub(crate) fn touch(&mut self, slot: &mut Slot, id: ConversationId) {
        self.used.remove(&slot.used);
        self.uses += 1;
        slot.used = self.uses;
        self.used.insert(slot.used, id);
    }

    pub(crate) fn next_use(&mut self, id: ConversationId) -> u64 {
        self.uses += 1;
        self.used.insert(self.uses, id);
        self.uses
    }

    pub(crate) fn forget(&mut self, id: ConversationId) {
        if let Some(slot) = self.conversations.remove(&id) {
            self.used.remove(&slot.used);
            self.conversations_bytes -= slot.weight;
        }
    }

    /// Drops a conversation that does not exist any more, unless something still waits in it.
    pub(crate) fn forget_absent(&mut self, id: ConversationId) {
        let is_unused = |slot: &Slot| slot.queue.is_empty() && slot.loading.is_empty() && slot.pins == 0;
        let gone = |slot: &Slot| matches!(slot.presence, Presence::Absent) && is_unused(slot);
        if self.conversations.get(&id).is_some_and(|slot| gone(slot) && self.log.is_durable(slot.pending)) {
            self.forget(id);
        }
    }

    pub(crate) fn unpin(&mut self, id: ConversationId) {
        match self.conversations.get_mut(&id) {
            Some(slot) => slot.pins = slot.pins.saturating_sub(1),
            // It is being worked in right now.
            None => self.unpins.push(id),
        }
    }

    /// Drops conversations that nobody needs, longest unused first.
    pub(crate) fn evict(&mut self) {
        let mut busy = Vec::new();
        while self.conversations_bytes > self.config.conversations_bytes_max && busy.len() < 16 {
            let Some((_, id)) = self.used.pop_first() else { break };
            let idle = self.conversations.get(&id).is_none_or(|slot| slot.is_idle(&self.log, self.now.mono_ms));
            if idle {
                self.forget(id);
            } else {
                busy.push(id);
            }
        }
        // The busy ones go to the back, or they would hide the idle ones behind them.
        for id in busy {
            let used = self.next_use(id);
            if let Some(slot) = self.conversations.get_mut(&id) {
                slot.used = used;
            }
        }
    }
}
