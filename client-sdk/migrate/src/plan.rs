//! From records to what the hub takes: one conversation, its facts in order of display, and a ledger that still
//! balances.
//!
//! **Ids.** A message's id is a ULID: its time is the message's, its random part is 16 bits of *rank* (how many
//! messages of the same time stand before it in the file) and 64 bits of BLAKE3 keyed with the hub's import key over
//! conversation, time, sender, class, text and an ordinal among equals. So display order by id is time order, and order
//! of lines within one time; a rerun and a later, longer export of the chat give equal ids. Attachments count by class
//! and caption, not by name, so that exports with and without media agree. The rank shifts where a later export begins
//! within a minute, or lacks a line that was deleted since: then [`PlanOptions::known`] finds a message again by time
//! and the 64 bits alone, and keeps the id that it has. A text edited between two exports is a new message.
//!
//! **Who.** The sender named like the customer is the customer (`in`); everyone else speaks for the team (`out`) as the
//! member that the options name, else as the importing member. The sender's name as written stays in `src`, which names
//! no file and no line, so that equal messages are equal facts whatever file they came in.

mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::tz::AmbiguousOffset;
use lockstep_protocol::fact::{Direction, Fact, Media, Message};
use lockstep_protocol::id::{ConversationId, FactId, MediaHash, MemberId, MessageId};
use lockstep_protocol::limits;
use thiserror::Error;

pub use self::people::{Role, SenderPlan};
pub use jiff::tz::TimeZone;

use crate::glyph::head;
use crate::ledger::{Ledger, Origin, REJECTS_KEPT_MAX, Reject, RejectReason};
use crate::media::{media_type, safe_name};
use crate::record::{Kind, Record};
use crate::whatsapp::{DateOrder, Reading};

/// Stands where a message names a file that the export does not hold (its size is then 0).
pub const MEDIA_MISSING: MediaHash = MediaHash([0; MediaHash::LEN]);

/// What becomes of the app's own lines.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SystemLines {
    /// Internal notes of kind `system`.
    #[default]
    Note,
    /// Counted, not imported.
    Skip,
}

/// How to turn an export into facts.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// The hub's import key: 32 random bytes, drawn once, kept with the hub's other keys.
    pub key: [u8; 32],
    /// The phone's time zone; exports name none.
    pub time_zone: TimeZone,
    /// Author of what no member wrote: the customer's messages, the app's lines, and senders that nobody named.
    pub importer: MemberId,
    /// Senders who are members, by shown name.
    pub members: BTreeMap<String, MemberId>,
    /// The customer's shown name; by default that in the file's name.
    pub customer: Option<String>,
    /// Senders who are the customer, where that is not the one named like them (group chats).
    pub customer_senders: BTreeSet<String>,
    /// The conversation to import into; by default one derived from key and customer's name.
    pub conversation: Option<ConversationId>,
    /// What becomes of the app's own lines.
    pub system_lines: SystemLines,
    /// Ids that the hub holds in this conversation; equal messages keep them.
    pub known: BTreeSet<MessageId>,
}

impl PlanOptions {
    /// With everything else as the file says.
    #[must_use]
    pub fn new(key: [u8; 32], time_zone: TimeZone, importer: MemberId) -> Self {
        Self {
            key,
            time_zone,
            importer,
            members: BTreeMap::new(),
            customer: None,
            customer_senders: BTreeSet::new(),
            conversation: None,
            system_lines: SystemLines::Note,
            known: BTreeSet::new(),
        }
    }
}

/// Why an export cannot be imported as it is. Each says what to give.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PlanError {
    /// No message could be read.
    #[error("no message was found in the file; is it a chat export?")]
    NoMessages,
    /// The date order is undecided.
    #[error("the dates may be read in more than one order ({}): give the date order", names(.candidates))]
    DateOrderUndecided {
        /// What it may be.
        candidates: Vec<DateOrder>,
    },
    /// The file's name does not hold the customer's.
    #[error("the file's name does not say who the customer is: give the customer's name")]
    CustomerUnnamed,
    /// No sender is the customer.
    #[error("no sender is named like the customer: say which of the {} senders are, or name all members", .senders.len())]
    CustomerUnknown {
        /// The senders, most messages first. Names of people: for the person at the command line, not for logs.
        senders: Vec<String>,
    },
    /// An option names a sender that the file does not have.
    #[error("a sender named in an option is not in the file; names are compared without marks and case")]
    SenderUnknown {
        /// The name given.
        name: String,
    },
    /// A sender is named both as a member and as the customer.
    #[error("a sender is named both as a member and as the customer")]
    SenderTwice {
        /// The name given.
        name: String,
    },
}

fn names(orders: &[DateOrder]) -> String {
    orders.iter().map(|order| order.as_str()).collect::<Vec<_>>().join(", ")
}

/// What one export becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The conversation.
    pub conversation: ConversationId,
    /// The customer's shown name, at most [`limits::NAME_BYTES_MAX`] bytes.
    pub customer: String,
    /// The time zone by its IANA name, `local` where it has none.
    pub time_zone: String,
    /// All facts, known ones too: messages in order of their ids, each followed by its edit or retraction.
    pub facts: Vec<Fact>,
    /// Who became what, most messages first.
    pub senders: Vec<SenderPlan>,
    /// Every line counted; nothing is `duplicate` yet, see [`Plan::fresh`].
    pub ledger: Ledger,
    /// Rejects of reading and planning, in order of lines.
    pub rejects: Vec<Reject>,
    /// Messages longer than a body may be, kept as several.
    pub split: u64,
    /// Messages in an hour that the clock went through twice (the first is taken) or skipped.
    pub unclear_times: u64,
    /// Messages that name a file which the export does not hold.
    pub media_missing: u64,
    /// Where each record's first message came from.
    origins: BTreeMap<MessageId, Origin>,
}

impl Plan {
    /// The facts that are not of the `known` messages, and the ledger with the known ones' lines under `duplicate`.
    #[must_use]
    pub fn fresh(&self, known: &BTreeSet<MessageId>) -> (Vec<Fact>, Ledger) {
        let mut ledger = self.ledger;
        for (id, origin) in &self.origins {
            if known.contains(id) {
                ledger.duplicate(*origin);
            }
        }
        let is_known = |fact: &Fact| match fact {
            Fact::Message(message) => known.contains(&message.id),
            other => other.target().is_some_and(|target| known.contains(&target)),
        };
        (self.facts.iter().filter(|fact| !is_known(fact)).cloned().collect(), ledger)
    }

    /// Ids of all messages, in order of display.
    pub fn message_ids(&self) -> impl Iterator<Item = MessageId> {
        self.facts.iter().filter_map(|fact| if let Fact::Message(message) = fact { Some(message.id) } else { None })
    }
}

/// Plans the import of one export. `file_names` are [`Source::names`](crate::source::Source::names).
///
/// # Errors
/// If a person has to say something first: the date order, the customer.
pub fn plan(reading: &Reading, file_names: &[String], options: &PlanOptions) -> Result<Plan, PlanError> {
    if let crate::whatsapp::OrderReason::Undecided { candidates } = &reading.order.reason {
        return Err(PlanError::DateOrderUndecided { candidates: candidates.clone() });
    }
    if !reading.records.iter().any(|record| record.from.is_some()) {
        return Err(PlanError::NoMessages);
    }
    let customer = people::customer_name(file_names, options).ok_or(PlanError::CustomerUnnamed)?;
    let (roles, senders) = people::roles(reading, &customer, options)?;
    let conversation = options.conversation.unwrap_or_else(|| conversation_of(&options.key, &customer));
    let known = options.known.iter().map(|id| ((id.time_ms(), mark_of(*id)), *id)).collect();
    let mut planner = Planner {
        options,
        conversation,
        roles,
        known,
        ranks: BTreeMap::new(),
        equals: BTreeMap::new(),
        groups: Vec::new(),
        plan: Plan {
            conversation,
            customer,
            time_zone: options.time_zone.iana_name().unwrap_or("local").to_owned(),
            facts: Vec::new(),
            senders,
            ledger: reading.ledger,
            rejects: reading.rejects.clone(),
            split: 0,
            unclear_times: 0,
            media_missing: 0,
            origins: BTreeMap::new(),
        },
    };
    for record in &reading.records {
        if let Err(reason) = planner.add(record) {
            planner.plan.ledger.reject(record.origin);
            let first = record.origin.line;
            let room = REJECTS_KEPT_MAX.saturating_sub(planner.plan.rejects.len());
            planner.plan.rejects.extend(Some(Reject { line: first, reason }).into_iter().take(room));
        }
    }
    let Planner { mut plan, mut groups, .. } = planner;
    groups.sort_by_key(|(id, _)| *id);
    plan.facts = groups.into_iter().flat_map(|(_, facts)| facts).collect();
    plan.rejects.sort_by_key(|reject| reject.line);
    Ok(plan)
}

/// The conversation that exports of this customer go into: the same for every export of the chat.
fn conversation_of(key: &[u8; 32], customer: &str) -> ConversationId {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"lockstep import conversation 1").update(people::fold(customer).as_bytes());
    let mut id = [0; ConversationId::LEN];
    hasher.finalize_xof().fill(&mut id);
    ConversationId(id)
}

/// The part of an id that tells what the message says.
fn mark_of(id: MessageId) -> u64 {
    let mut mark = [0; 8];
    mark.copy_from_slice(&id.0[8..]);
    u64::from_be_bytes(mark)
}

struct Planner<'a> {
    options: &'a PlanOptions,
    conversation: ConversationId,
    roles: BTreeMap<String, Role>,
    known: BTreeMap<(u64, u64), MessageId>,
    /// How many messages of a time there are so far.
    ranks: BTreeMap<u64, u32>,
    /// How many equal messages there are so far.
    equals: BTreeMap<[u8; 32], u32>,
    groups: Vec<(MessageId, Vec<Fact>)>,
    plan: Plan,
}

impl Planner<'_> {
    fn add(&mut self, record: &Record) -> Result<(), RejectReason> {
        let content = &record.content;
        if content.kind == Kind::System && self.options.system_lines == SystemLines::Skip {
            return Ok(());
        }
        let time_ms = self.time_ms(record)?;
        let parts = parts(&content.body);
        let taken = self.ranks.get(&time_ms).copied().unwrap_or(0);
        let count = u32::try_from(parts.len()).map_err(|_| RejectReason::MomentFull)?;
        if taken.saturating_add(count) > u32::from(u16::MAX) + 1 {
            return Err(RejectReason::MomentFull);
        }
        self.ranks.insert(time_ms, taken + count);
        let identity = self.identity(record, time_ms);
        let ordinal = self.equals.entry(identity).or_insert(0);
        let this = *ordinal;
        *ordinal += 1;
        let (dir, by) = match record.from.as_deref().and_then(|from| self.roles.get(&people::fold(from))) {
            None => (Direction::Note, self.options.importer),
            Some(Role::Customer) => (Direction::In, self.options.importer),
            Some(Role::Member(member)) => (Direction::Out, *member),
            Some(Role::Unnamed) => (Direction::Out, self.options.importer),
        };
        let kind = match content.kind {
            // A text must not be empty; exports hold empty messages all the same.
            Kind::Text if content.body.is_empty() => "empty",
            kind => kind.as_str(),
        };
        self.plan.split += u64::from(count > 1);
        for (number, part) in (0..count).zip(parts) {
            let mark = self.mark(b"message", &identity, this, number);
            let id = self.known.get(&(time_ms, mark)).copied();
            let id = id.unwrap_or_else(|| MessageId::from_parts(time_ms, random(taken + number, mark)));
            let first = number == 0;
            if first {
                self.plan.origins.insert(id, record.origin);
            }
            let body = content.body[part].to_owned();
            let media = self.media(record).filter(|_| first);
            let mut facts = Vec::with_capacity(2);
            let fact_id = |mark| FactId::from_parts(time_ms, random(taken + number, mark));
            let edit = (content.edited && first && !body.is_empty()).then(|| Fact::Edit {
                message: id,
                id: fact_id(self.mark(b"edit", &identity, this, number)),
                body: body.clone(),
            });
            let retraction = content.deleted.then(|| Fact::Retraction {
                message: id,
                id: fact_id(self.mark(b"retraction", &identity, this, number)),
                reason: String::new(),
            });
            let src = Some(self.src(record, number, count));
            let kind = kind.to_owned();
            facts.push(Fact::Message(Message { id, by, dir, kind, body, seen: None, re: None, media, src }));
            facts.extend(edit);
            facts.extend(retraction);
            self.groups.push((id, facts));
        }
        Ok(())
    }

    fn time_ms(&mut self, record: &Record) -> Result<u64, RejectReason> {
        let ambiguous = self.options.time_zone.to_ambiguous_timestamp(record.at);
        self.plan.unclear_times += u64::from(!matches!(ambiguous.offset(), AmbiguousOffset::Unambiguous { .. }));
        let at = ambiguous.compatible().map_err(|_| RejectReason::TimeOutOfRange)?;
        let time_ms = u64::try_from(at.as_millisecond()).map_err(|_| RejectReason::TimeOutOfRange)?;
        if time_ms < limits::ULID_TIME_MS_MIN { Err(RejectReason::TimeOutOfRange) } else { Ok(time_ms) }
    }

    /// What a message says, whatever file it stands in.
    fn identity(&self, record: &Record, time_ms: u64) -> [u8; 32] {
        let (class, text) = record.content.identity();
        let from = record.from.as_deref().unwrap_or_default();
        let mut hasher = blake3::Hasher::new_keyed(&self.options.key);
        hasher.update(b"lockstep import identity 1").update(&self.conversation.0).update(&time_ms.to_be_bytes());
        hasher.update(&[class]).update(&(from.len() as u64).to_be_bytes()).update(from.as_bytes());
        hasher.update(text.as_bytes());
        *hasher.finalize().as_bytes()
    }

    fn mark(&self, what: &[u8], identity: &[u8; 32], ordinal: u32, part: u32) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.options.key);
        hasher.update(b"lockstep import mark 1").update(identity);
        hasher.update(&ordinal.to_be_bytes()).update(&part.to_be_bytes()).update(what);
        let mut mark = [0; 8];
        hasher.finalize_xof().fill(&mut mark);
        u64::from_be_bytes(mark)
    }

    fn media(&mut self, record: &Record) -> Option<Media> {
        let attachment = record.content.attachment.as_ref()?;
        let (hash, size) = match attachment.file {
            Some(file) => (file.hash.unwrap_or(MEDIA_MISSING), file.size),
            None => (MEDIA_MISSING, 0),
        };
        self.plan.media_missing += u64::from(attachment.file.is_none());
        let name = safe_name(&attachment.name);
        Some(Media { hash, media_type: media_type(&attachment.name).to_owned(), name, size })
    }

    /// `whatsapp at=… tz=… part=…/… from=…`: no file and no line, see the module's text.
    fn src(&self, record: &Record, part: u32, parts: u32) -> String {
        let mut src = format!("whatsapp at={} tz={}", record.at, self.plan.time_zone);
        if parts > 1 {
            src += &format!(" part={}/{parts}", part + 1);
        }
        if let Some(from) = &record.from {
            src += " from=";
            src += from;
        }
        head(&src, limits::SRC_BYTES_MAX).to_owned()
    }
}

fn random(rank: u32, mark: u64) -> u128 {
    u128::from(rank) << 64 | u128::from(mark)
}

/// Pieces of at most [`limits::BODY_BYTES_MAX`] bytes that together are the body: cut after a line, else after a space,
/// else between characters. One piece at least.
fn parts(body: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    while body.len() - start > limits::BODY_BYTES_MAX {
        let window = head(&body[start..], limits::BODY_BYTES_MAX);
        let half = head(window, window.len() / 2).len();
        let cut = ['\n', ' '].iter().find_map(|c| window[half..].rfind(*c)).map_or(window.len(), |at| half + at + 1);
        parts.push(start..start + cut);
        start += cut;
    }
    parts.push(start..body.len());
    parts
}

/// Facts as segments of their own: each within what opens the hub's next segment (384 messages, 3,072 operations,
/// 192 KiB of text), a message together with what is about it.
pub fn segments(facts: &[Fact]) -> impl Iterator<Item = &[Fact]> {
    let mut rest = facts;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (mut messages, mut ops, mut text, mut end) = (0, 0, 0, 0);
        while end < rest.len() {
            let group = 1 + rest[end + 1..].iter().take_while(|fact| fact.target().is_some()).count();
            let group = &rest[end..end + group];
            let sum = |of: fn(&Fact) -> u32| group.iter().map(of).sum::<u32>();
            messages += sum(|fact| u32::from(fact.target().is_none()));
            ops += sum(Fact::ops);
            text += sum(Fact::text_bytes);
            let full = messages > limits::SEGMENT_OPEN_MESSAGES
                || ops > limits::SEGMENT_OPEN_OPS
                || text > limits::SEGMENT_OPEN_TEXT_BYTES;
            if full && end > 0 {
                break;
            }
            end += group.len();
        }
        let (segment, more) = rest.split_at(end);
        rest = more;
        Some(segment)
    })
}
