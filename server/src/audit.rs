//! The audit log for people and programs: which rows, what they say, and whether the chain holds.

use lockstep_core::audit::{Act, Actor, AuditChain, AuditRow, Deed};
use lockstep_protocol::directory::Role;
use lockstep_protocol::entry::HubKey;
use lockstep_protocol::id::{DocumentKind, MemberId};
use lockstep_protocol::refusal::RefusalCode;
use serde::{Deserialize, Serialize};

use crate::admin::{RoleName, snake_case};
use crate::store::audit::StoredAudit;
use crate::store::{Reader, StoreError};

/// Rows of one answer at the admin socket.
const PAGE_ROWS_MAX: usize = 4_096;
/// Rows that one answer may look at: a filter that fits little must not keep a reader for minutes.
const PAGE_LOOKS_MAX: usize = 65_536;

/// Which rows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditFilter {
    /// From this time on, milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Done by this member, or about them.
    pub who: Option<u32>,
    /// Of this kind, or of one that begins so.
    pub what: Option<String>,
}

impl AuditFilter {
    fn takes(&self, row: &AuditRow) -> bool {
        self.since_ms.is_none_or(|since_ms| row.at_ms >= since_ms)
            && self.who.is_none_or(|who| row.concerns(MemberId(who)))
            && self.what.as_ref().is_none_or(|what| row.act.kind().starts_with(what.as_str()))
    }
}

/// A row, as it is printed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AuditInfo {
    /// Its place.
    pub sequence: u64,
    /// When, RFC 3339.
    pub at: String,
    /// The log's epoch then, hex.
    pub epoch: String,
    /// `machine`, `hub`, `member` or `unproven`.
    pub by: String,
    /// The acting member's staff number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<u32>,
    /// The acting device, hex; for `unproven` the one that it named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// What was done or tried.
    pub what: String,
    /// Staff number of whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whom: Option<u32>,
    /// The device that it is about, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_device: Option<String>,
    /// The conversation that it is about, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// What else there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// `done`, or why not.
    pub outcome: String,
}

impl AuditInfo {
    fn new(row: &AuditRow) -> Self {
        let (by, member, device) = match row.actor {
            Actor::Machine => ("machine", None, None),
            Actor::Hub => ("hub", None, None),
            Actor::Device { member, device } => ("member", Some(member.0), Some(device.to_string())),
            Actor::Claimed { device } => ("unproven", None, Some(device.to_string())),
        };
        let outcome = match (row.code, RefusalCode::from_number(row.code)) {
            (0, _) => "done".into(),
            (_, Some(code)) => snake_case(&format!("{code:?}")),
            (number, None) => number.to_string(),
        };
        let mut info = Self {
            sequence: row.sequence,
            at: time_text(row.at_ms),
            epoch: row.epoch.to_string(),
            by: by.into(),
            member,
            device,
            what: row.act.kind().into(),
            outcome,
            ..Self::default()
        };
        info.describe(&row.act);
        info
    }

    fn describe(&mut self, act: &Act) {
        let role_name = |role: Role| RoleName::from(role).to_string();
        match act {
            Act::SignedIn { again: 0 } | Act::SignInRefused | Act::Enrolled | Act::EnrolmentRefused => {}
            Act::SignedIn { again } => self.detail = Some(format!("{again} times before, within the minute")),
            Act::AccessRefused { asked, conversation } => {
                self.detail = Some(format!("{asked:?}").to_lowercase());
                self.conversation = conversation.map(|id| id.to_string());
            }
            Act::MemberAdded { member, role } | Act::RoleChanged { member, role } => {
                self.whom = Some(member.0);
                self.detail = Some(role_name(*role));
            }
            Act::MemberRemoved { member } | Act::Invited { member } => self.whom = Some(member.0),
            Act::DeviceRevoked { device } => self.object_device = Some(device.to_string()),
            Act::PolicyChanged(policy) => {
                self.detail = Some(format!(
                    "collision {}, agents see unassigned {}, services lock {}, devices a member {}, keep {}",
                    format!("{:?}", policy.collision).to_lowercase(),
                    policy.agents_see_unassigned,
                    policy.services_lock,
                    policy.devices_max.filter(|max| *max > 0).map_or("unlimited".into(), |max| max.to_string()),
                    policy.keep.unwrap_or_default(),
                ));
            }
            Act::ConversationOpened { conversation } => self.conversation = Some(conversation.to_string()),
            Act::Assigned { conversation, member } | Act::Unassigned { conversation, member } => {
                self.conversation = Some(conversation.to_string());
                self.whom = Some(member.0);
            }
            Act::Imported { document, import } | Act::ImportUndone { document, import } => {
                self.conversation = Some(document.conversation.to_string());
                self.detail = Some(format!("segment {} of import {import}", document.number));
            }
            Act::EpochBegan => {}
            Act::KeepChanged { conversation, keep } => {
                self.conversation = Some(conversation.to_string());
                self.detail = Some(keep.map_or_else(|| "as the policy says".to_owned(), |keep| keep.to_string()));
            }
            Act::Expired { document } => {
                self.conversation = Some(document.conversation.to_string());
                let kind = if document.kind == DocumentKind::Imported { "imported segment" } else { "segment" };
                self.detail = Some(format!("{kind} {}", document.number));
            }
            Act::Done(Deed::KeysRotated { generation }) => self.detail = Some(format!("generation {generation}")),
            Act::Done(Deed::WordsChanged { added, removed }) => {
                self.detail = Some(format!("{added} added, {removed} removed"));
            }
            Act::Done(Deed::Exported { conversation }) => self.conversation = conversation.map(|id| id.to_string()),
            Act::Done(Deed::Shredded { conversation }) => self.conversation = Some(conversation.to_string()),
            Act::More { refusals } => self.detail = Some(format!("{refusals} more refusals without a row")),
        }
    }
}

/// Some rows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AuditPage {
    /// In order.
    pub rows: Vec<AuditInfo>,
    /// Ask for rows after this one to go on; none at the end.
    pub next: Option<u64>,
}

/// What the walk along the chain found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditVerdict {
    /// Rows whose place in the chain is proven, from the first.
    pub rows: u64,
    /// The first row that does not hold; none if all do.
    pub bad: Option<BadRow>,
}

/// A row that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BadRow {
    /// Which.
    pub sequence: u64,
    /// What is wrong.
    pub why: String,
}

/// The next rows that a filter takes.
///
/// # Errors
/// `Corrupt` for a row that cannot be read, `Engine`.
pub fn page(reader: &Reader<'_>, after: u64, filter: &AuditFilter) -> Result<AuditPage, StoreError> {
    let mut page = AuditPage::default();
    let mut looks = 0;
    reader.audit(after, |sequence, stored| {
        if page.rows.len() == PAGE_ROWS_MAX || looks == PAGE_LOOKS_MAX {
            page.next = Some(sequence - 1);
            return Ok(false);
        }
        looks += 1;
        // A row that does not read is told of by `verify`; the others are worth showing all the same.
        if let Some(stored) = stored.filter(|stored| filter.takes(&stored.row)) {
            page.rows.push(AuditInfo::new(&stored.row));
        }
        Ok(true)
    })?;
    Ok(page)
}

/// Walks the whole chain.
///
/// # Errors
/// `Engine`; `Corrupt` for what is not even a row of the store any more.
pub fn verify(reader: &Reader<'_>, key: &HubKey) -> Result<AuditVerdict, StoreError> {
    let head = reader.audit_head()?;
    let mut walk = Walk { key, rows: 0, chain: AuditChain::default(), bad: None };
    reader.audit(0, |sequence, stored| {
        walk.step(sequence, stored);
        Ok(walk.bad.is_none())
    })?;
    if walk.bad.is_none() && (walk.rows, walk.chain) != (head.sequence, head.chain) {
        let why = match walk.rows < head.sequence {
            true => format!("it is missing; the log should end at row {}", head.sequence),
            false => format!("the log should have ended at row {}, with this chain", head.sequence),
        };
        let sequence = if walk.rows < head.sequence { walk.rows + 1 } else { walk.rows };
        walk.bad = Some(BadRow { sequence, why });
    }
    Ok(AuditVerdict { rows: walk.rows, bad: walk.bad })
}

struct Walk<'a> {
    key: &'a HubKey,
    rows: u64,
    chain: AuditChain,
    bad: Option<BadRow>,
}

impl Walk<'_> {
    fn step(&mut self, sequence: u64, stored: Option<StoredAudit>) {
        let expected = self.rows + 1;
        let mut bad = |sequence, why: &str| self.bad = Some(BadRow { sequence, why: why.into() });
        if sequence != expected {
            return bad(expected, "it is missing");
        }
        let Some(stored) = stored else { return bad(sequence, "it cannot be read") };
        let chain = self.chain.after(self.key, &stored.bytes);
        if chain != stored.chain {
            return bad(sequence, "it does not follow from the rows before it: it, or what stood before, was changed");
        }
        (self.rows, self.chain) = (sequence, chain);
    }
}

/// A time as RFC 3339 in UTC, to the second.
#[must_use]
pub(crate) fn time_text(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|at_ms| jiff::Timestamp::from_second(at_ms / 1_000).ok());
    at.map_or_else(|| at_ms.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use lockstep_protocol::codec;
    use lockstep_protocol::id::{ConversationId, DeviceId, Epoch};

    use super::*;

    fn row(sequence: u64, actor: Actor, act: Act) -> AuditRow {
        AuditRow { sequence, at_ms: 1_790_000_000_000 + sequence, epoch: Epoch([1; 16]), actor, act, code: 0 }
    }

    #[test]
    fn filters() {
        let device = DeviceId([2; 16]);
        let by = Actor::Device { member: MemberId(7), device };
        let taken = row(5, by, Act::Assigned { conversation: ConversationId([3; 16]), member: MemberId(8) });
        let filter = |since_ms, who, what: Option<&str>| AuditFilter { since_ms, who, what: what.map(str::to_owned) };
        for (filter, expected) in [
            (filter(None, None, None), true),
            (filter(Some(1_790_000_000_005), None, None), true),
            (filter(Some(1_790_000_000_006), None, None), false),
            (filter(None, Some(7), None), true),
            (filter(None, Some(8), None), true),
            (filter(None, Some(9), None), false),
            (filter(None, None, Some("assigned")), true),
            (filter(None, None, Some("assi")), true),
            (filter(None, None, Some("sign-in")), false),
        ] {
            assert_eq!(filter.takes(&taken), expected, "{filter:?}");
        }
    }

    /// What the walk says of rows that somebody has tampered with.
    #[test]
    fn the_walk_names_the_first_bad_row() {
        let key = HubKey::new(&[5; 32]);
        let mut chain = AuditChain::default();
        let rows: Vec<StoredAudit> = (1..=4)
            .map(|sequence| {
                let row = row(sequence, Actor::Machine, Act::EpochBegan);
                let bytes: bytes::Bytes = codec::encode(&row).into();
                chain = chain.after(&key, &bytes);
                StoredAudit { row, bytes, chain }
            })
            .collect();
        let walk = |rows: &[(u64, Option<StoredAudit>)]| {
            let mut walk = Walk { key: &key, rows: 0, chain: AuditChain::default(), bad: None };
            for (sequence, stored) in rows {
                if walk.bad.is_none() {
                    walk.step(*sequence, stored.clone());
                }
            }
            (walk.rows, walk.bad.map(|bad| bad.sequence))
        };
        let whole: Vec<(u64, Option<StoredAudit>)> = (1..).zip(rows.into_iter().map(Some)).collect();
        assert_eq!(walk(&whole), (4, None));
        let mut changed = whole.clone();
        changed[1].1.as_mut().unwrap().bytes = codec::encode(&row(2, Actor::Hub, Act::EpochBegan)).into();
        assert_eq!(walk(&changed), (1, Some(2)));
        let mut unreadable = whole.clone();
        unreadable[2].1 = None;
        assert_eq!(walk(&unreadable), (2, Some(3)));
        let mut missing = whole.clone();
        missing.remove(1);
        assert_eq!(walk(&missing), (1, Some(2)));
        let mut swapped = whole;
        let (second, third) = (swapped[1].1.take(), swapped[2].1.take());
        (swapped[1].1, swapped[2].1) = (third, second);
        assert_eq!(walk(&swapped), (1, Some(2)));
    }

    #[test]
    fn rows_are_told_in_words() {
        let device = DeviceId([2; 16]);
        let refused = Act::AccessRefused {
            asked: lockstep_core::audit::Asked::Push,
            conversation: Some(ConversationId([3; 16])),
        };
        let info = AuditInfo::new(&AuditRow {
            code: RefusalCode::WriteForbidden.number(),
            ..row(1, Actor::Device { member: MemberId(7), device }, refused)
        });
        assert_eq!(info.at, "2026-09-21T14:13:20Z");
        assert_eq!((info.by.as_str(), info.member, info.what.as_str()), ("member", Some(7), "access-refused"));
        assert_eq!((info.detail.as_deref(), info.outcome.as_str()), (Some("push"), "write_forbidden"));
        assert_eq!(info.conversation, Some("03".repeat(16)));
    }
}
