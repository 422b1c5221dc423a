//! Planted bugs: a test-only switch that breaks one rule, so that the simulator can prove it would notice.
//!
//! Without the feature `planted` every question is answered `false` at compile time.

/// A bug that can be switched on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ClientBug {
    /// An Ack's witness moves the cursor.
    CursorMovedByAck,
    /// The cursor is made durable in a transaction before that of its facts.
    CursorSavedBeforeApply,
    /// A fact is sent without its outbox row being written: a crash gives its place in the chain to another.
    SeqReuseAfterCrash,
    /// Rewritten facts change their order.
    OutboxReorder,
    /// Backfills are not kept over a restart.
    BackfillForgottenAfterCrash,
    /// Facts are sent before they are durable.
    PushBeforePersist,
    /// A change of one's own chain that one does not hold is taken as if one held it.
    OwnForkIgnored,
    /// A revocation hides a conversation and keeps its copy.
    RevokeKeepsCopy,
    /// After an epoch change stamped facts that the hub lost are dropped instead of offered.
    OfferForgotten,
    /// After an epoch change chains go on under their old nonces.
    EpochKeepsNonces,
    /// A fact that can never stand is sent again and again.
    NeverRefusalRetriedForever,
    /// `Duplicate` is not taken as a confirmation.
    DuplicateNotConfirmed,
    /// Replies do not say what their author had seen.
    SeenIsNone,
    /// A snapshot throws away the live facts that came after it was made.
    SnapshotDropsLiveFacts,
    /// An answer that belongs to an older grant finishes the newer grant's backfill.
    OldGrantBelieved,
    /// Entries that do not begin at the cursor are taken.
    EntriesOverHole,
    /// An import that was taken back is kept.
    UndoneKept,
    /// A document that expired is kept.
    ExpiredKept,
    /// A shredded conversation is kept.
    ShredIgnored,
    /// A document that comes into memory does not reach the views that it belongs to.
    ArrivalNotShown,
    /// A device says that it has caught up before the log has come.
    CaughtUpAtOnce,
}

impl ClientBug {
    /// Every bug.
    pub const ALL: &'static [Self] = &[
        Self::CursorMovedByAck,
        Self::CursorSavedBeforeApply,
        Self::SeqReuseAfterCrash,
        Self::OutboxReorder,
        Self::BackfillForgottenAfterCrash,
        Self::PushBeforePersist,
        Self::OwnForkIgnored,
        Self::RevokeKeepsCopy,
        Self::OfferForgotten,
        Self::EpochKeepsNonces,
        Self::NeverRefusalRetriedForever,
        Self::DuplicateNotConfirmed,
        Self::SeenIsNone,
        Self::SnapshotDropsLiveFacts,
        Self::OldGrantBelieved,
        Self::EntriesOverHole,
        Self::UndoneKept,
        Self::ExpiredKept,
        Self::ShredIgnored,
        Self::ArrivalNotShown,
        Self::CaughtUpAtOnce,
    ];
}

/// Which bug is on, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Planted {
    #[cfg(feature = "planted")]
    bug: Option<ClientBug>,
}

impl Planted {
    /// Switches one bug on.
    #[cfg(feature = "planted")]
    #[must_use]
    pub const fn with(bug: ClientBug) -> Self {
        Self { bug: Some(bug) }
    }

    /// Whether this bug is on.
    #[must_use]
    pub(crate) fn is(self, bug: ClientBug) -> bool {
        #[cfg(feature = "planted")]
        {
            self.bug == Some(bug)
        }
        #[cfg(not(feature = "planted"))]
        {
            let _ = bug;
            false
        }
    }
}
