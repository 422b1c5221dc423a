//! What becomes durable is acknowledged and sent: encoded once, the same bytes for everyone who sees the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use lockstep_protocol::codec;
use lockstep_protocol::cursor::CursorTag;
use lockstep_protocol::directory::{DirectoryEvent, Role};
use lockstep_protocol::entry::{Entry, EntryBody, LogChain};
use lockstep_protocol::frame::{Entries, EntryBytes, Grant, HubFrame};
use lockstep_protocol::id::{ConversationId, Lsn, MemberId};
use lockstep_protocol::limits;

use crate::commands::{apply_to, changes_sight};
use crate::conversation::{Committed, Presence};
use crate::effect::{Effect, Ticket};
use crate::hub::{Hub, INDEX_ROWS_MAX, Waiter};
use crate::input::SessionId;
use crate::log::InFlight;
use crate::planted::HubBug;
use crate::session::{Mode, Reading};

/// Live sessions that saw nothing for this many entries are told how far the log has come.
const SILENCE_MAX: u64 = 256;

/// One entry on its way to a session.
pub(crate) struct Outgoing<'a> {
    pub(crate) lsn: Lsn,
    pub(crate) bytes: &'a Bytes,
    pub(crate) conversation: Option<ConversationId>,
    pub(crate) origin: Option<SessionId>,
    pub(crate) event: Option<&'a DirectoryEvent>,
}

/// What became of a page of the log.
pub(crate) enum Paged {
    /// The session has it.
    Sent,
    /// The session must go through the catalogue instead.
    Resync,
    /// It must wait until a loss is durable.
    Withheld,
}

/// What a range of the log means for one session.
#[derive(Default)]
pub(crate) struct Stream {
    /// Places in the range of the entries that it gets.
    places: Vec<usize>,
    granted: Vec<Grant>,
    revoked: Vec<ConversationId>,
    /// So much of what it may see changed that it goes through the catalogue.
    resync: bool,
    /// Something is kept back by a loss that is not durable yet: the cursor must not pass it.
    withheld: bool,
}

impl Hub {
    /// All batches up to this one are durable.
    pub(crate) fn batches_committed(&mut self, ticket: Ticket, effects: &mut Vec<Effect>) {
        let was_ready = self.is_ready();
        let entries = self.log.committed(ticket);
        for entry in &entries {
            if let Some(event) = &entry.event {
                if matches!(event, DirectoryEvent::Expired { .. } | DirectoryEvent::ImportUndone { .. }) {
                    self.newest_gone = entry.lsn;
                }
                self.access.committed.apply(event);
                self.access_version += u64::from(changes_sight(event));
                if let Some(slot) = event.conversation().and_then(|id| self.conversations.get_mut(&id)) {
                    match (&mut slot.committed, event) {
                        (_, DirectoryEvent::ConversationShredded { .. }) if slot.newest == entry.lsn => {
                            slot.committed = Committed::Same;
                        }
                        (Committed::Older(conversation), event) => apply_to(conversation, event),
                        (Committed::Absent, DirectoryEvent::ConversationOpened(conversation)) => {
                            slot.committed = Committed::Older(Box::new(conversation.clone()));
                        }
                        _ => {}
                    }
                }
            }
        }
        for conversation in entries.iter().filter_map(|entry| entry.conversation) {
            let committed = self.log.committed;
            if let Some(slot) = self.conversations.get_mut(&conversation)
                && slot.newest <= committed
            {
                slot.committed = Committed::Same;
                slot.trim(INDEX_ROWS_MAX, &self.log);
            }
        }
        self.answer_waiters(effects);
        self.fan_out(&entries, effects);
        for event in entries.iter().filter_map(|entry| entry.event.as_ref()) {
            if let DirectoryEvent::ConversationShredded { conversation } = event {
                self.forget_absent(*conversation);
                self.shred_on(effects);
            }
        }
        if !was_ready && self.is_ready() {
            // Whatever asked before was refused with Busy and comes again.
            self.compaction.wake();
        }
        self.compact_after_commit(effects);
    }

    fn answer_waiters(&mut self, effects: &mut Vec<Effect>) {
        let (ready, waiting) =
            std::mem::take(&mut self.waiters).into_iter().partition(|(ticket, _)| self.log.is_durable(*ticket));
        self.waiters = waiting;
        for (_, waiter) in ready {
            match waiter {
                Waiter::Ack(session, tag, results) => self.ack_now(session, tag, results, effects),
                Waiter::Answer(request, outcome) => effects.push(Effect::Answer { request, outcome }),
                Waiter::Planned(request, plan) => effects.push(Effect::ImportPlanned { request, outcome: Ok(plan) }),
                Waiter::Enrolled(session, device, member) => {
                    if self.welcome(session, device, member, None, effects) {
                        self.seen.now(device, self.now.wall_ms);
                    }
                }
            }
        }
    }

    /// Sends newly durable entries to the live sessions, in runs that fit a frame.
    pub(crate) fn fan_out(&mut self, entries: &[InFlight], effects: &mut Vec<Effect>) {
        let mut rest = entries;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fitting = rest.iter().take_while(|entry| {
                bytes += entry.bytes.len();
                bytes <= self.config.log_read_bytes_max.max(limits::FACT_BYTES_MAX)
            });
            let run = fitting.count().clamp(1, limits::ENTRIES_MAX);
            let (now, later) = rest.split_at(run.min(rest.len()));
            self.fan_out_run(now, effects);
            rest = later;
        }
        for session in self.open_sessions() {
            self.pump(session, effects);
        }
    }

    fn fan_out_run(&mut self, run: &[InFlight], effects: &mut Vec<Effect>) {
        let Some(last) = run.last() else { return };
        let (upto, tag) = (last.lsn, self.log.cursor(last.lsn, &last.chain).tag);
        let outgoing: Vec<Outgoing<'_>> = run
            .iter()
            .map(|entry| Outgoing {
                lsn: entry.lsn,
                bytes: &entry.bytes,
                conversation: entry.conversation,
                origin: entry.origin,
                event: entry.event.as_ref(),
            })
            .collect();
        // Sessions at the same place that see the same entries share one frame.
        let mut frames: BTreeMap<(Lsn, Vec<usize>), Bytes> = BTreeMap::new();
        for id in self.open_sessions() {
            let Some(open) = self.open(id) else { continue };
            if !matches!(open.mode, Mode::Live) {
                continue;
            }
            let (from, member) = (open.position, open.member);
            if upto <= from {
                continue;
            }
            let stream = self.stream(id, member, &outgoing);
            if stream.resync {
                // The catalogue's cursor covers the change; an entry sent before it would move the cursor past it.
                self.start_catalogue(id, effects);
                continue;
            }
            if stream.withheld {
                // It reads on from the log once the loss is durable, or has failed.
                if let Some(open) = self.open_mut(id) {
                    open.mode = Mode::Reading(Reading::default());
                }
                continue;
            }
            let silent = stream.places.is_empty() && stream.granted.is_empty() && stream.revoked.is_empty();
            if silent && upto.0 - from.0 < SILENCE_MAX {
                continue;
            }
            let private = !stream.granted.is_empty() || !stream.revoked.is_empty();
            let bytes = if private {
                encode_entries(from, upto, tag, &outgoing, stream)
            } else {
                let shared = frames.entry((from, stream.places.clone()));
                shared.or_insert_with(|| encode_entries(from, upto, tag, &outgoing, stream)).clone()
            };
            let unsent = self.sessions.get(&id).map_or(0, |session| session.unsent_bytes);
            if unsent + bytes.len() > self.config.session_queue_bytes_max && unsent > 0 {
                // A slow device reads the log at its own speed; nothing is dropped. DESIGN idea 6.
                let is_lost = self.planted.is(HubBug::EntryLostWithoutCredit);
                if let Some(open) = self.open_mut(id) {
                    if is_lost {
                        open.position = upto;
                    } else {
                        open.mode = Mode::Reading(Reading::default());
                    }
                }
                continue;
            }
            if let Some(open) = self.open_mut(id) {
                open.position = upto;
            }
            self.send_bytes(id, bytes, effects);
        }
    }

    /// What a range of the log means for a session: judged as of now. The conversations are in memory.
    pub(crate) fn stream(&self, session: SessionId, member: MemberId, range: &[Outgoing<'_>]) -> Stream {
        let mut stream = Stream::default();
        let role = self.access.sequenced.role(member);
        let mut seen: BTreeMap<ConversationId, bool> = BTreeMap::new();
        let planted_blind = self.planted.is(HubBug::VisibilityAtSubscribeOnly);
        for (place, entry) in range.iter().enumerate() {
            let visible = match entry.conversation {
                None if entry.bytes.is_empty() => self.planted.is(HubBug::ErasedEntrySent),
                None => !self.is_untold(entry.event),
                Some(id) => *seen.entry(id).or_insert_with(|| {
                    stream.withheld |= self.conversations.get(&id).is_some_and(|slot| self.loses(slot, member));
                    let sees = self.conversations.get(&id).is_some_and(|slot| self.sees(slot, member));
                    let seen_at_start = self.open(session).and_then(|open| open.seen_at_start.as_ref());
                    sees || (planted_blind && seen_at_start.is_some_and(|seen| seen.contains(&id)))
                }),
            };
            if let Some(event) = entry.event {
                self.stream_event(&mut stream, (session, member, role), event, entry.lsn, visible);
            }
            if visible && entry.origin != Some(session) {
                stream.places.push(place);
            }
        }
        stream
    }

    /// Whether nobody is told of an event; only a planted bug asks.
    fn is_untold(&self, event: Option<&DirectoryEvent>) -> bool {
        self.planted.is(HubBug::ShredToldToNobody) && matches!(event, Some(DirectoryEvent::ConversationShredded { .. }))
    }

    /// What a directory event means for what a member sees.
    fn stream_event(
        &self,
        stream: &mut Stream,
        (session, member, role): (SessionId, MemberId, Option<Role>),
        event: &DirectoryEvent,
        lsn: Lsn,
        visible: bool,
    ) {
        let policy = self.access.sequenced.policy;
        let (conversation, may_change) = match event {
            DirectoryEvent::ConversationOpened(conversation) => (conversation.id, visible),
            DirectoryEvent::Assigned { conversation, member: whom }
            | DirectoryEvent::Unassigned { conversation, member: whom } => {
                (*conversation, role == Some(Role::Agent) && (policy.agents_see_unassigned || *whom == member))
            }
            DirectoryEvent::RoleChanged { member: whom, .. } => {
                stream.resync |= *whom == member;
                return;
            }
            // Whoever comes back as somebody else starts anew.
            DirectoryEvent::MemberAdded(added) => {
                stream.resync |= added.id == member;
                return;
            }
            DirectoryEvent::DeviceAdded(added) => {
                stream.resync |= self.open(session).is_some_and(|open| open.device == added.id());
                return;
            }
            DirectoryEvent::PolicyChanged(_) => {
                stream.resync |= role == Some(Role::Agent);
                return;
            }
            _ => return,
        };
        if !may_change {
            return;
        }
        stream.granted.retain(|grant| grant.conversation != conversation);
        stream.revoked.retain(|revoked| *revoked != conversation);
        if visible {
            stream.granted.push(Grant { conversation, lsn });
        } else if !self.planted.is(HubBug::RevokeForgetsOffline) || self.open_live(member) {
            stream.revoked.push(conversation);
        }
    }

    /// Whether the member has a live session; only a planted bug asks.
    fn open_live(&self, member: MemberId) -> bool {
        self.sessions
            .values()
            .filter_map(|session| session.open())
            .any(|open| open.member == member && matches!(open.mode, Mode::Live))
    }

    /// Sends a page of the log to a session that reads it, or says why not.
    pub(crate) fn send_page(
        &mut self,
        id: SessionId,
        entries: &[crate::query::StoredEntry],
        upto: Lsn,
        chain: &LogChain,
        effects: &mut Vec<Effect>,
    ) -> Paged {
        let Some(open) = self.open(id) else { return Paged::Sent };
        let (from, member) = (open.position, open.member);
        // Only directory entries are looked into; all others are passed on as they lie.
        let events: Vec<Option<DirectoryEvent>> = entries.iter().map(|entry| event_of(&entry.bytes)).collect();
        let outgoing: Vec<Outgoing<'_>> = entries
            .iter()
            .zip(&events)
            .map(|(entry, event)| Outgoing {
                lsn: entry.lsn,
                bytes: &entry.bytes,
                conversation: entry.conversation,
                origin: None,
                event: event.as_ref(),
            })
            .collect();
        let stream = self.stream(id, member, &outgoing);
        if stream.resync {
            return Paged::Resync;
        }
        if stream.withheld {
            return Paged::Withheld;
        }
        let tag = self.log.cursor(upto, chain).tag;
        let bytes = encode_entries(from, upto, tag, &outgoing, stream);
        if let Some(open) = self.open_mut(id) {
            open.position = upto;
        }
        self.send_bytes(id, bytes, effects);
        Paged::Sent
    }

    /// Conversations of a page that are not in memory yet.
    pub(crate) fn not_in_memory(&self, ids: impl Iterator<Item = ConversationId>) -> Vec<ConversationId> {
        let is_there = |id: &ConversationId| {
            self.conversations.get(id).is_some_and(|slot| !matches!(slot.presence, Presence::Loading))
        };
        let mut ids: Vec<ConversationId> = ids.filter(|id| !is_there(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

fn event_of(bytes: &[u8]) -> Option<DirectoryEvent> {
    if !Entry::is_directory(bytes) {
        return None;
    }
    match Entry::from_bytes(bytes)?.body {
        EntryBody::Directory(event) => Some(event),
        _ => None,
    }
}

fn encode_entries(from: Lsn, upto: Lsn, tag: CursorTag, range: &[Outgoing<'_>], stream: Stream) -> Bytes {
    let entries = stream.places.iter().map(|place| EntryBytes(range[*place].bytes.clone())).collect();
    let Stream { granted, revoked, .. } = stream;
    codec::encode(&HubFrame::Entries(Entries { from, upto, tag, entries, granted, revoked })).into()
}
