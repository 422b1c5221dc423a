//! Planted bugs: a test-only switch that breaks one rule, so that the simulator can prove it would notice.
//!
//! Without the feature `planted` every question is answered `false` at compile time.

/// A bug that can be switched on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HubBug {
    /// Acks are sent before the batch is durable.
    AckBeforeSync,
    /// Entries are sent to other devices before the batch is durable.
    FanOutBeforeSync,
    /// Rule 4 of the lock (an unseen reply) is not applied.
    SkipSeenRule,
    /// The lock looks at the newest reply of anyone instead of another member's.
    JudgeByAnyonesReply,
    /// The window is shorter than it should be.
    WindowTooShort,
    /// A live lease of another member is ignored.
    LeaseIgnored,
    /// A live frame is lost when a session's credit runs out.
    EntryLostWithoutCredit,
    /// Visibility is judged only when the session begins.
    VisibilityAtSubscribeOnly,
    /// Catch-up reads the log first and subscribes later.
    CatchUpBeforeSubscribing,
    /// A cursor beyond the log does not lead to a new epoch.
    RollbackNotNoticed,
    /// A cursor's MAC is not checked.
    ForgedCursorBelieved,
    /// Re-admitted facts skip a place in their recovery chain.
    HoleInRecoveryChain,
    /// Re-admitted replies are judged by the lock again.
    ReadmissionJudgedAgain,
    /// After a restore promotions are replayed as well as demotions.
    PromotionReplayed,
    /// A revocation is acknowledged before it is durable.
    RevocationNotDurable,
    /// A revocation is told to connected devices only.
    RevokeForgetsOffline,
    /// A message's `by` is taken from the device.
    ByTrusted,
    /// A reply and its verdict are made durable by two batches.
    VerdictStoredApart,
    /// A known message under another hash is written again.
    DuplicateWrittenAgain,
    /// A push's hole is not noticed.
    GapIgnored,
    /// The hard cap of a segment is not applied.
    CapIgnored,
    /// An offered entry's stamp is not checked.
    StampBelieved,
    /// After an import was taken back its keys still count as known.
    UndoneStaysKnown,
    /// After a document expired its keys still count as known.
    ExpiredStaysKnown,
    /// Of a shredded conversation the rows of its index stay.
    ShredKeepsIndex,
    /// What was read before a document went is sent after it.
    StaleReadSent,
    /// Erased entries are sent to whoever reads the log.
    ErasedEntrySent,
    /// A shredded conversation is told to those who see it, and nobody does any more.
    ShredToldToNobody,
    /// What is older than the keep time is re-admitted after a restore.
    ExpiredReadmitted,
    /// Edits are not looked at for sensitive words.
    EditsUnread,
    /// Some directory changes have no row in the audit log.
    AuditForgotten,
    /// A push is judged by the durable directory alone: a loss that is sequenced before it does not count yet.
    PushJudgedByDurable,
    /// A document that was read for a device is sent whatever happened meanwhile.
    FetchAnsweredAfterLoss,
    /// A lease is told to everyone who is connected.
    LeaseToldToAll,
    /// A device's row is not looked up again when its proof has taken time.
    DeviceNotLookedUpAgain,
    /// The connections of a revoked device stay open.
    RevokedSessionKept,
    /// A device that comes back after its revocation is told that it is unknown.
    RevocationForgotten,
}

impl HubBug {
    /// Every bug.
    pub const ALL: &'static [Self] = &[
        Self::AckBeforeSync,
        Self::FanOutBeforeSync,
        Self::SkipSeenRule,
        Self::JudgeByAnyonesReply,
        Self::WindowTooShort,
        Self::LeaseIgnored,
        Self::EntryLostWithoutCredit,
        Self::VisibilityAtSubscribeOnly,
        Self::CatchUpBeforeSubscribing,
        Self::RollbackNotNoticed,
        Self::ForgedCursorBelieved,
        Self::HoleInRecoveryChain,
        Self::ReadmissionJudgedAgain,
        Self::PromotionReplayed,
        Self::RevocationNotDurable,
        Self::RevokeForgetsOffline,
        Self::ByTrusted,
        Self::VerdictStoredApart,
        Self::DuplicateWrittenAgain,
        Self::GapIgnored,
        Self::CapIgnored,
        Self::StampBelieved,
        Self::UndoneStaysKnown,
        Self::ExpiredStaysKnown,
        Self::ShredKeepsIndex,
        Self::StaleReadSent,
        Self::ErasedEntrySent,
        Self::ShredToldToNobody,
        Self::ExpiredReadmitted,
        Self::EditsUnread,
        Self::AuditForgotten,
        Self::PushJudgedByDurable,
        Self::FetchAnsweredAfterLoss,
        Self::LeaseToldToAll,
        Self::DeviceNotLookedUpAgain,
        Self::RevokedSessionKept,
        Self::RevocationForgotten,
    ];
}

/// Which bug is on, if any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planted {
    #[cfg(feature = "planted")]
    bug: Option<HubBug>,
}

impl Planted {
    /// Switches one bug on.
    #[cfg(feature = "planted")]
    #[must_use]
    pub const fn with(bug: HubBug) -> Self {
        Self { bug: Some(bug) }
    }

    /// Whether this bug is on.
    #[must_use]
    pub(crate) fn is(self, bug: HubBug) -> bool {
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
