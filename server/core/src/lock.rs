//! The first-writer lock: leases and the judgement of replies. DESIGN section 5.

use lockstep_protocol::entry::{Collision, CollisionCause};
use lockstep_protocol::id::{Lsn, MemberId, MessageId};
use lockstep_protocol::limits;

use crate::planted::{HubBug, Planted};
use crate::row::AcceptedReply;

/// The short right to reply, taken by typing. Times are monotonic milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lease {
    pub(crate) holder: MemberId,
    since_ms: u64,
    pub(crate) until_ms: u64,
    told_ms: u64,
}

/// An accepted reply with the end of its window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reply {
    pub(crate) row: AcceptedReply,
    /// Monotonic milliseconds; another member's reply before it collides.
    pub(crate) window_ends_ms: u64,
}

/// What an author had seen when they pressed send, as the hub knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// None, or a message that was never an accepted reply.
    Nothing,
    /// A reply accepted at this LSN.
    Accepted(Lsn),
}

/// One conversation's lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lock {
    lease: Option<Lease>,
    /// Members whose lease reached its full length, and until when they rest.
    resting: Vec<(MemberId, u64)>,
    /// R0: the newest accepted reply.
    pub(crate) last: Option<Reply>,
    /// R1: the newest accepted by another member than R0's author.
    pub(crate) last_other: Option<Reply>,
}

/// What came of typing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Typed {
    /// The lease is theirs; everyone is to be told if `tell`.
    Held { for_ms: u64, tell: bool },
    /// Another member holds it.
    Taken { by: MemberId, for_ms: u64 },
    /// They must rest before taking it again.
    Rest,
}

impl Lock {
    /// The live lease.
    pub(crate) fn lease(&self, now_ms: u64) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| now_ms < lease.until_ms)
    }

    /// Takes or renews the lease.
    pub(crate) fn typed(&mut self, member: MemberId, now_ms: u64) -> Typed {
        self.resting.retain(|(_, until_ms)| now_ms < *until_ms);
        if let Some(lease) = self.lease.filter(|lease| now_ms < lease.until_ms) {
            if lease.holder != member {
                return Typed::Taken { by: lease.holder, for_ms: lease.until_ms - now_ms };
            }
            let until_ms = (now_ms + limits::LEASE_IDLE_MS).min(lease.since_ms + limits::LEASE_TOTAL_MS_MAX);
            let tell = now_ms >= lease.told_ms + limits::LEASE_NOTICE_MS_MIN;
            let told_ms = if tell { now_ms } else { lease.told_ms };
            self.rest_after(member, lease.since_ms, until_ms);
            self.lease = Some(Lease { until_ms, told_ms, ..lease });
            return Typed::Held { for_ms: until_ms - now_ms, tell };
        }
        if self.resting.iter().any(|(resting, _)| *resting == member) {
            return Typed::Rest;
        }
        let until_ms = now_ms + limits::LEASE_IDLE_MS;
        self.lease = Some(Lease { holder: member, since_ms: now_ms, until_ms, told_ms: now_ms });
        Typed::Held { for_ms: limits::LEASE_IDLE_MS, tell: true }
    }

    /// A lease that has reached its full length ends with a rest.
    fn rest_after(&mut self, member: MemberId, since_ms: u64, until_ms: u64) {
        if until_ms == since_ms + limits::LEASE_TOTAL_MS_MAX {
            self.resting.retain(|(resting, _)| *resting != member);
            self.resting.push((member, until_ms + limits::LEASE_REST_MS));
        }
    }

    /// Drops the lease of a member who lost the right to it; whether there was one.
    pub(crate) fn drop_lease(&mut self, member: MemberId) -> bool {
        self.lease.take_if(|lease| lease.holder == member).is_some()
    }

    /// Forgets replies that went with their document; whether there were any. Their window is long over.
    pub(crate) fn forget(&mut self, gone: impl Fn(MessageId) -> bool) -> bool {
        let is_gone = |reply: &mut Reply| gone(reply.row.message);
        let last = self.last.take_if(is_gone).is_some();
        // What was accepted before one that went counts no more either.
        let other = self.last_other.take_if(|reply| last || is_gone(reply)).is_some();
        last || other
    }

    /// Whether something here still runs, so that the conversation must stay in memory.
    pub(crate) fn is_running(&self, now_ms: u64) -> bool {
        self.lease(now_ms).is_some()
            || self.resting.iter().any(|(_, until_ms)| now_ms < *until_ms)
            || [&self.last, &self.last_other].into_iter().flatten().any(|reply| now_ms < reply.window_ends_ms)
    }

    /// R for this member: the newest accepted reply of another member.
    pub(crate) fn other_reply(&self, member: MemberId) -> Option<&Reply> {
        match &self.last {
            Some(last) if last.row.member == member => self.last_other.as_ref(),
            last => last.as_ref(),
        }
    }

    /// Rules 2 to 4. `Ok` is acceptance.
    pub(crate) fn judge(&self, member: MemberId, seen: Seen, now_ms: u64, planted: Planted) -> Result<(), Collision> {
        if let Some(lease) = self.lease(now_ms).filter(|lease| lease.holder != member)
            && !planted.is(HubBug::LeaseIgnored)
        {
            return Err(Collision { cause: CollisionCause::Lease, winner: None, by: lease.holder });
        }
        let other = if planted.is(HubBug::JudgeByAnyonesReply) { self.last.as_ref() } else { self.other_reply(member) };
        let Some(reply) = other.filter(|reply| reply.row.member != member) else { return Ok(()) };
        let lost = |cause| Err(Collision { cause, winner: Some(reply.row.message), by: reply.row.member });
        let window_ends_ms =
            reply.window_ends_ms.saturating_sub(if planted.is(HubBug::WindowTooShort) { 2_000 } else { 0 });
        if now_ms < window_ends_ms {
            return lost(CollisionCause::Window);
        }
        let unseen = match seen {
            Seen::Nothing => true,
            Seen::Accepted(lsn) => lsn < reply.row.accepted,
        };
        if unseen && !planted.is(HubBug::SkipSeenRule) { lost(CollisionCause::Stale) } else { Ok(()) }
    }

    /// Takes note of an accepted reply.
    pub(crate) fn accepted(&mut self, reply: Reply) {
        if self.last.is_some_and(|last| last.row.member != reply.row.member) {
            self.last_other = self.last;
        }
        self.last = Some(reply);
    }

    /// LSN of acceptance of a reply that the lock still remembers.
    pub(crate) fn accepted_lsn(&self, message: MessageId) -> Option<Lsn> {
        [&self.last, &self.last_other]
            .into_iter()
            .flatten()
            .find(|reply| reply.row.message == message)
            .map(|reply| reply.row.accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script of `time member act` steps separated by `|` and answers what became of each. Members are letters,
    /// times milliseconds. Acts: `types`, `replies`, `replies after X` (having seen X's newest accepted reply),
    /// `replies blind` (having seen nothing). A plain `replies` has seen the newest accepted one.
    fn check(script: &str, expected: &[&str]) {
        let mut lock = Lock::default();
        let mut newest: Vec<(MemberId, Lsn)> = Vec::new();
        let mut results = Vec::new();
        for (step, text) in script.split('|').enumerate() {
            let words: Vec<&str> = text.split_whitespace().collect();
            let now_ms: u64 = words[0].parse().unwrap();
            let member = MemberId(u32::from(words[1].as_bytes()[0]));
            let name = |member: MemberId| char::from(u8::try_from(member.0).unwrap());
            results.push(match words[2] {
                "types" => match lock.typed(member, now_ms) {
                    Typed::Held { for_ms, tell } => format!("held {for_ms}{}", if tell { " told" } else { "" }),
                    Typed::Taken { by, for_ms } => format!("taken by {} {for_ms}", name(by)),
                    Typed::Rest => "rest".into(),
                },
                "replies" => {
                    let seen = match words.get(3) {
                        Some(&"blind") => None,
                        Some(&"after") => {
                            let of = MemberId(u32::from(words[4].as_bytes()[0]));
                            newest.iter().rev().find(|(by, _)| *by == of).map(|(_, lsn)| *lsn)
                        }
                        _ => newest.last().map(|(_, lsn)| *lsn),
                    };
                    match lock.judge(member, seen.map_or(Seen::Nothing, Seen::Accepted), now_ms, Planted::default()) {
                        Ok(()) => {
                            let accepted = Lsn(step as u64 + 1);
                            newest.push((member, accepted));
                            let message = MessageId::from_parts(now_ms, step as u128);
                            let row = AcceptedReply { message, member, accepted, at_ms: now_ms };
                            lock.accepted(Reply { row, window_ends_ms: now_ms + limits::REPLY_WINDOW_MS });
                            "sent".into()
                        }
                        Err(lost) => format!("{:?} to {}", lost.cause, name(lost.by)).to_lowercase(),
                    }
                }
                other => panic!("unknown act {other}"),
            });
        }
        assert_eq!(results, expected, "{script}");
    }

    #[test]
    fn replies() {
        check("0 A replies | 3000 B replies", &["sent", "window to a"]);
        check("0 A replies | 4999 B replies | 5000 B replies", &["sent", "window to a", "sent"]);
        check("0 A replies | 5000 B replies blind", &["sent", "stale to a"]);
        check("0 A replies | 9000 B replies after A", &["sent", "sent"]);
        check("0 A replies | 1 A replies blind | 2 A replies", &["sent", "sent", "sent"]);
        // R for A is B's, although A's own reply is newer: R1 counts.
        check("0 B replies | 6000 A replies | 6001 A replies blind", &["sent", "sent", "stale to b"]);
        check("0 B replies | 6000 A replies | 12000 A replies after B", &["sent", "sent", "sent"]);
        check(
            "0 C replies | 6000 B replies | 12000 A replies after C | 13000 A replies after B",
            &["sent", "sent", "stale to b", "sent"],
        );
        // A reply written offline long ago still collides.
        check("0 A replies | 100000000 B replies blind", &["sent", "stale to a"]);
    }

    #[test]
    fn leases() {
        check("0 A types | 100 B types", &["held 5000 told", "taken by A 4900"]);
        check("0 A types | 999 A types | 1000 A types", &["held 5000 told", "held 5000", "held 5000 told"]);
        check("0 A types | 5000 B types", &["held 5000 told", "held 5000 told"]);
        check("0 A types | 10 B replies | 10 A replies", &["held 5000 told", "lease to a", "sent"]);
        check("0 A types | 4999 B replies | 5000 B replies", &["held 5000 told", "lease to a", "sent"]);
        // Sending takes no lease.
        check("0 A replies | 1 B types", &["sent", "held 5000 told"]);
    }

    #[test]
    fn a_lease_ends_after_a_minute_and_then_rests() {
        let mut lock = Lock::default();
        let (a, b) = (MemberId(1), MemberId(2));
        for second in 0..60 {
            assert!(matches!(lock.typed(a, second * 1000), Typed::Held { .. }), "{second}");
        }
        assert!(lock.lease(59_999).is_some());
        assert!(lock.lease(60_000).is_none());
        assert_eq!(lock.typed(a, 60_000), Typed::Rest);
        assert_eq!(lock.typed(a, 69_999), Typed::Rest);
        assert!(matches!(lock.clone().typed(b, 60_000), Typed::Held { .. }), "others may");
        assert!(matches!(lock.typed(a, 70_000), Typed::Held { .. }));
    }
}
