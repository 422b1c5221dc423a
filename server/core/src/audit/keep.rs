//! Keeping the audit log: rows get their place when their batch gets its own, and refusals are bounded in rate.

use bytes::Bytes;
use lockstep_protocol::codec;
use lockstep_protocol::entry::HubKey;
use lockstep_protocol::frame::Outcome;
use lockstep_protocol::id::{ConversationId, DeviceId, Epoch};
use lockstep_protocol::refusal::RefusalCode;

use super::{Act, Actor, Asked, AuditEntry, AuditHead, AuditRow, Deed};
use crate::conversation::Commander;
use crate::effect::Effect;
use crate::hub::Hub;
use crate::input::SessionId;
use crate::log::Draft;
use crate::planted::HubBug;
use crate::row::Write;

/// Refusals that may be written at once after a quiet time.
const REFUSALS_BURST: u32 = 32;
/// One more may be written after so long, milliseconds: at most 10 MB a day, whoever knocks.
const REFUSAL_EVERY_MS: u64 = 1_000;
/// Those that were not written are counted in a row of their own, at most so often, milliseconds.
const MORE_EVERY_MS: u64 = 60_000;
/// A device that signs in again within this time gets no row of its own; the next one tells how often. Milliseconds.
pub(crate) const SIGN_IN_EVERY_MS: u64 = 60_000;

/// What a draft has to tell; it gets its place when the draft is committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noted {
    pub(crate) wall_ms: u64,
    pub(crate) actor: Actor,
    pub(crate) act: Act,
    pub(crate) code: u16,
}

/// The end of the audit log, and what of refusals is not in it yet.
#[derive(Debug)]
pub(crate) struct Audit {
    head: AuditHead,
    /// Refusals that may still be written now.
    tokens: u32,
    /// Monotonic milliseconds at which the last token was given.
    refilled_ms: u64,
    /// Refusals without a row.
    unwritten: u32,
    /// Monotonic milliseconds of the last row that counted some.
    counted_ms: Option<u64>,
}

impl Audit {
    pub(crate) const fn new(head: AuditHead) -> Self {
        Self { head, tokens: REFUSALS_BURST, refilled_ms: 0, unwritten: 0, counted_ms: None }
    }

    /// Gives rows their places.
    pub(crate) fn append(&mut self, key: &HubKey, epoch: Epoch, noted: &[Noted], writes: &mut Vec<Write>) {
        for Noted { wall_ms, actor, act, code } in noted.iter().copied() {
            let (sequence, at_ms) = (self.head.sequence + 1, self.head.at_ms.max(wall_ms));
            let bytes: Bytes = codec::encode(&AuditRow { sequence, at_ms, epoch, actor, act, code }).into();
            let chain = self.head.chain.after(key, &bytes);
            self.head = AuditHead { sequence, at_ms, chain };
            writes.push(Write::Audit(AuditEntry { sequence, bytes, chain }));
        }
        if !noted.is_empty() {
            writes.push(Write::AuditHead(self.head));
        }
    }

    /// Whether one more refusal may have a row; if not, it is counted.
    fn takes(&mut self, now_ms: u64) -> bool {
        let earned = now_ms.saturating_sub(self.refilled_ms) / REFUSAL_EVERY_MS;
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)).min(REFUSALS_BURST);
            self.refilled_ms += earned * REFUSAL_EVERY_MS;
        }
        if self.tokens == 0 {
            self.unwritten = self.unwritten.saturating_add(1);
            return false;
        }
        self.tokens -= 1;
        true
    }

    /// How many refusals are to be told of in one row now.
    fn take_unwritten(&mut self, now_ms: u64, is_last: bool) -> Option<u32> {
        let is_due = self.counted_ms.is_none_or(|counted| now_ms >= counted + MORE_EVERY_MS) || is_last;
        if self.unwritten == 0 || !is_due {
            return None;
        }
        self.counted_ms = Some(now_ms);
        Some(std::mem::take(&mut self.unwritten))
    }
}

impl Hub {
    /// Notes an act of the draft's actor, for the batch that the draft becomes.
    pub(crate) fn audit(&self, draft: &mut Draft, act: Act) {
        if self.planted.is(HubBug::AuditForgotten) && matches!(act, Act::RoleChanged { .. } | Act::Unassigned { .. }) {
            return;
        }
        let actor = draft.actor;
        draft.note(Noted { wall_ms: self.now.wall_ms, actor, act, code: 0 });
    }

    /// Notes a refusal, or counts it.
    pub(crate) fn audit_refusal(&mut self, draft: &mut Draft, actor: Actor, act: Act, code: RefusalCode) {
        if self.log.audit.takes(self.now.mono_ms) {
            draft.note(Noted { wall_ms: self.now.wall_ms, actor, act, code: code.number() });
        }
    }

    /// A device was not let in.
    pub(crate) fn audit_stranger(&mut self, device: DeviceId, act: Act, code: RefusalCode, effects: &mut Vec<Effect>) {
        let mut draft = Draft::default();
        self.audit_refusal(&mut draft, Actor::Claimed { device }, act, code);
        self.log.commit(draft, effects);
    }

    /// A device was refused something; only what it has no right to is noted.
    pub(crate) fn audit_access(
        &mut self,
        draft: &mut Draft,
        session: SessionId,
        asked: Asked,
        conversation: Option<ConversationId>,
        code: Option<RefusalCode>,
    ) {
        let Some(code) = code.filter(|code| lacks_right(*code, asked)) else { return };
        let Some(actor) = self.actor_of(session) else { return };
        self.audit_refusal(draft, actor, Act::AccessRefused { asked, conversation }, code);
    }

    /// A device was refused something that leaves no other trace.
    pub(crate) fn audit_access_alone(
        &mut self,
        session: SessionId,
        asked: Asked,
        conversation: ConversationId,
        code: RefusalCode,
        effects: &mut Vec<Effect>,
    ) {
        let mut draft = Draft::default();
        self.audit_access(&mut draft, session, asked, Some(conversation), Some(code));
        self.log.commit(draft, effects);
    }

    /// The device of a welcomed session.
    pub(crate) fn actor_of(&self, session: SessionId) -> Option<Actor> {
        self.open(session).map(|open| Actor::Device { member: open.member, device: open.device })
    }

    /// Tells of the refusals that have no row of their own.
    pub(crate) fn audit_more(&mut self, is_last: bool, effects: &mut Vec<Effect>) {
        let Some(refusals) = self.log.audit.take_unwritten(self.now.mono_ms, is_last) else { return };
        let mut draft = Draft::default();
        self.audit(&mut draft, Act::More { refusals });
        self.log.commit(draft, effects);
    }

    /// Something was done on the hub's machine. Answered when the row is durable.
    pub(crate) fn deed_done(&mut self, request: u64, deed: Deed, effects: &mut Vec<Effect>) {
        let mut draft = Draft::by(Actor::Machine);
        self.audit(&mut draft, Act::Done(deed));
        let ticket = self.log.commit(draft, effects);
        let outcome = Outcome::Done(self.log.head);
        self.answer_after(ticket, Commander::Administrator(request), outcome, effects);
    }
}

/// Whether a code says that the asker has no right to what it asked for, rather than that it cannot be done.
const fn lacks_right(code: RefusalCode, asked: Asked) -> bool {
    match code {
        RefusalCode::NotPermitted
        | RefusalCode::ConversationUnknown
        | RefusalCode::WriteForbidden
        | RefusalCode::AuthorForged
        | RefusalCode::ActorForged
        | RefusalCode::DirectionForbidden
        | RefusalCode::SourceForbidden
        | RefusalCode::StampInvalid => true,
        // A report on a reply that is not to be delivered is no question of rights.
        RefusalCode::TargetForbidden => matches!(asked, Asked::Push | Asked::Resolve),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditChain;

    const KEY: [u8; 32] = [3; 32];

    fn noted(wall_ms: u64, act: Act) -> Noted {
        Noted { wall_ms, actor: Actor::Machine, act, code: 0 }
    }

    #[test]
    fn rows_are_numbered_timed_and_chained() {
        let key = HubKey::new(&KEY);
        let mut audit = Audit::new(AuditHead::default());
        let mut writes = Vec::new();
        let acts = [Act::EpochBegan, Act::SignedIn { again: 2 }, Act::More { refusals: 7 }];
        // The wall clock goes back; rows do not.
        let times = [50, 40, 60];
        let noted: Vec<Noted> = acts.iter().zip(times).map(|(act, at)| noted(at, *act)).collect();
        audit.append(&key, Epoch([1; 16]), &noted, &mut writes);
        let mut chain = AuditChain::default();
        for (at, write) in writes[..3].iter().enumerate() {
            let Write::Audit(entry) = write else { panic!("a row was expected: {write:?}") };
            let row = AuditRow::from_bytes(&entry.bytes).unwrap();
            chain = chain.after(&key, &entry.bytes);
            assert_eq!((entry.sequence, row.sequence, entry.chain), (at as u64 + 1, at as u64 + 1, chain));
            assert_eq!((row.at_ms, row.act, row.actor), ([50, 50, 60][at], acts[at], Actor::Machine));
        }
        assert_eq!(writes[3], Write::AuditHead(AuditHead { sequence: 3, at_ms: 60, chain }));
        assert_ne!(chain, AuditChain::default().after(&HubKey::new(&[4; 32]), b""), "another hub's chain");
    }

    #[test]
    fn refusals_are_bounded_in_rate_and_none_is_lost_from_the_count() {
        // Milliseconds at which so many are refused, and how many of them get a row.
        for (script, rows, counted) in [
            (&[(0, 10)][..], 10, 0),
            (&[(0, 100)], 32, 68),
            (&[(0, 100), (500, 5)], 32, 73),
            (&[(0, 100), (3_000, 10)], 35, 75),
            (&[(0, 32), (1_000_000, 40)], 64, 8),
        ] {
            let mut audit = Audit::new(AuditHead::default());
            let mut written = 0;
            for (at_ms, count) in script {
                written += (0..*count).filter(|_| audit.takes(*at_ms)).count();
            }
            assert_eq!((written, audit.unwritten), (rows, counted), "{script:?}");
        }
        let mut audit = Audit::new(AuditHead::default());
        assert_eq!(audit.take_unwritten(0, true), None);
        audit.unwritten = 5;
        assert_eq!(audit.take_unwritten(10, false), Some(5));
        audit.unwritten = 6;
        assert_eq!(audit.take_unwritten(11, false), None);
        assert_eq!(audit.take_unwritten(12, true), Some(6));
        audit.unwritten = 7;
        assert_eq!(audit.take_unwritten(12 + MORE_EVERY_MS, false), Some(7));
    }
}
