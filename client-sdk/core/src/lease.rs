//! Who types a reply, and how often this device says that its member does.

use std::collections::BTreeMap;

use lockstep_protocol::frame::DeviceFrame;
use lockstep_protocol::id::{ConversationId, MemberId};

use crate::device::Device;
use crate::effect::Effect;
use crate::view::ViewEvent;

/// Typing is told to the hub at most this often: well within the 5 s that a lease lives.
const TYPING_MS_MIN: u64 = 2_000;
/// Conversations whose lease is remembered; beyond, the one that ends first is forgotten.
const LEASES_MAX: usize = 4_096;

/// Leases heard of, and typing told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    live: BTreeMap<ConversationId, (MemberId, u64)>,
    told: BTreeMap<ConversationId, u64>,
}

impl Leases {
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.live.values().map(|(_, until_ms)| *until_ms).min()
    }
}

impl Device {
    /// Who types a reply to a conversation, as far as the hub told.
    #[must_use]
    pub fn lease(&self, conversation: ConversationId) -> Option<MemberId> {
        self.leases.live.get(&conversation).map(|(holder, _)| *holder)
    }

    /// The member typed.
    pub(crate) fn type_in(&mut self, conversation: ConversationId) {
        let now_ms = self.now.mono_ms;
        let told = self.leases.told.get(&conversation);
        if self.ready() && told.is_none_or(|at_ms| now_ms >= at_ms + TYPING_MS_MIN) {
            self.leases.told.retain(|_, at_ms| now_ms < *at_ms + TYPING_MS_MIN);
            self.leases.told.insert(conversation, now_ms);
            self.send(&DeviceFrame::Typing { conversation });
        }
    }

    /// The conversation last typed in, for a refusal that names none.
    pub(crate) fn last_typed(&self) -> Option<ConversationId> {
        self.leases.told.iter().max_by_key(|(_, at_ms)| **at_ms).map(|(conversation, _)| *conversation)
    }

    /// The hub told who holds a lease.
    pub(crate) fn take_lease(&mut self, conversation: ConversationId, holder: Option<MemberId>, for_ms: u32) {
        let before = self.lease(conversation);
        match holder {
            Some(holder) => {
                let until_ms = self.now.mono_ms + u64::from(for_ms);
                self.leases.live.insert(conversation, (holder, until_ms));
            }
            None => {
                self.leases.live.remove(&conversation);
            }
        }
        while self.leases.live.len() > LEASES_MAX {
            let first = self.leases.live.iter().min_by_key(|(_, (_, until_ms))| *until_ms).map(|(id, _)| *id);
            first.and_then(|id| self.leases.live.remove(&id));
        }
        if before != holder {
            self.show_lease(conversation, holder);
        }
    }

    /// Leases end by themselves when the hub renews them no more.
    pub(crate) fn tick_leases(&mut self) {
        let now_ms = self.now.mono_ms;
        let over = self.leases.live.iter().filter(|(_, (_, until_ms))| *until_ms <= now_ms).map(|(id, _)| *id);
        for conversation in over.collect::<Vec<_>>() {
            self.leases.live.remove(&conversation);
            self.show_lease(conversation, None);
        }
    }

    /// Without a connection nobody's typing is known.
    pub(crate) fn drop_leases(&mut self) {
        let live = core::mem::take(&mut self.leases);
        for conversation in live.live.into_keys() {
            self.show_lease(conversation, None);
        }
    }

    fn show_lease(&mut self, conversation: ConversationId, holder: Option<MemberId>) {
        if self.screen.is_open(conversation) {
            self.out.push(Effect::View(ViewEvent::Lease { conversation, holder }));
        }
    }
}
