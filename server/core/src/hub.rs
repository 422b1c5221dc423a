//! The hub: everything that decides, as one state machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use lockstep_protocol::codec;
use lockstep_protocol::directory::{Device, Member, Policy};
use lockstep_protocol::entry::{HubKey, LogChain};
use lockstep_protocol::frame::{DeviceFrame, HubFrame, Outcome, Tag};
use lockstep_protocol::id::{ConversationId, DeviceId, Epoch, HubId, Lsn, MemberId, PinnedKeyHash};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::{Refusal, RefusalCode};

use crate::access::{Access, Directory};
use crate::audit::{Act, AuditHead, Deed};
use crate::compaction::Compaction;
use crate::conversation::{Commander, Slot, Work};
use crate::effect::{CloseReason, Effect, ImportPlan, OutsideEvent, Report, Ticket};
use crate::expiry::Expiry;
use crate::input::{Input, Now, SessionId};
use crate::last_seen::LastSeen;
use crate::log::{Draft, Log};
use crate::planted::{HubBug, Planted};
use crate::readmission::OfferJob;
use crate::row::ShredRow;
use crate::scan::{ScanRow, Scanning};
use crate::sensitive::Words;
use crate::session::{Open, Phase, Session};
use crate::shred::Shreds;

/// Times and sizes that an operator may choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HubConfig {
    /// How long entries stay readable by cursor once a snapshot covers them, milliseconds. DESIGN section 9: 30 days.
    pub retention_ms: u64,
    /// How often it is looked what is older than its keep time, milliseconds.
    pub keep_look_ms: u64,
    /// How long nothing expires once the clock was found far ahead, milliseconds: so long may setting it right take.
    pub keep_hold_ms: u64,
    /// Bytes that may lie unsent in one session before it reads the log at its own speed.
    pub session_queue_bytes_max: usize,
    /// Bytes of log asked for in one read.
    pub log_read_bytes_max: usize,
    /// Memory for conversations that nothing is in flight for, bytes.
    pub conversations_bytes_max: usize,
    /// Facts after a snapshot that make a document worth compacting.
    pub compact_tail: u32,
    /// The hub opens the next segment when one holds this many messages, operations, or bytes of text.
    pub segment: SegmentLimits,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            retention_ms: 30 * 24 * 60 * 60 * 1000,
            keep_look_ms: 60 * 60 * 1000,
            keep_hold_ms: 24 * 60 * 60 * 1000,
            session_queue_bytes_max: limits::SESSION_QUEUE_BYTES_MAX,
            log_read_bytes_max: limits::LOG_READ_BYTES_MAX,
            conversations_bytes_max: 64 * 1024 * 1024,
            compact_tail: limits::SEGMENT_OPEN_MESSAGES / 4,
            segment: SegmentLimits::default(),
        }
    }
}

/// When the next segment is opened, and how far late facts may still fill an old one. DESIGN section 4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentLimits {
    /// Messages that close a segment.
    pub open_messages: u32,
    /// Operations that close a segment.
    pub open_ops: u32,
    /// Bytes of text that close a segment.
    pub open_text_bytes: u32,
    /// Operations up to which an older segment takes late messages.
    pub late_message_ops: u32,
    /// Operations up to which an older segment takes late edits and reactions.
    pub late_edit_ops: u32,
}

impl Default for SegmentLimits {
    fn default() -> Self {
        Self {
            open_messages: limits::SEGMENT_OPEN_MESSAGES,
            open_ops: limits::SEGMENT_OPEN_OPS,
            open_text_bytes: limits::SEGMENT_OPEN_TEXT_BYTES,
            late_message_ops: limits::SEGMENT_LATE_MESSAGE_OPS_MAX,
            late_edit_ops: limits::SEGMENT_LATE_EDIT_OPS_MAX,
        }
    }
}

/// What the hub starts from: what its store holds.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The hub.
    pub hub: HubId,
    /// Its secret for stamps and cursors.
    pub key: HubKey,
    /// SHA-256 of its certificate's public key, which devices pin.
    pub pinned: PinnedKeyHash,
    /// Every epoch of its log with the LSN after which it began, oldest first. Empty for a new hub.
    pub epochs: Vec<(Epoch, Lsn)>,
    /// The newest LSN.
    pub head: Lsn,
    /// The log chain there.
    pub chain: LogChain,
    /// Time of the newest stamp, milliseconds since 1970.
    pub at_ms: u64,
    /// The retention floor.
    pub floor: Lsn,
    /// Members.
    pub members: BTreeMap<MemberId, Member>,
    /// Devices that are not revoked.
    pub devices: BTreeMap<DeviceId, Device>,
    /// Devices that are.
    pub revoked: BTreeSet<DeviceId>,
    /// Policy.
    pub policy: Policy,
    /// When devices were last seen, milliseconds since 1970.
    pub seen: BTreeMap<DeviceId, u64>,
    /// The end of the audit log.
    pub audit: AuditHead,
    /// Whether the store was restored from a backup (or its last shutdown left that open): a new epoch begins.
    pub restored: bool,
    /// The small list outside the backup chain, oldest first; replayed after a restore before anyone is let in.
    pub outside: Vec<OutsideEvent>,
    /// The team's list of sensitive words.
    pub words: Arc<dyn Words>,
    /// How far the look at everything stored got with this list.
    pub scan: ScanRow,
    /// Conversations that were shredded.
    pub shredded: BTreeMap<ConversationId, ShredRow>,
    /// 32 fresh random bytes.
    pub entropy: [u8; 32],
    /// Choices.
    pub config: HubConfig,
    /// A planted bug, for the simulator.
    pub planted: Planted,
}

/// How often the hub looks at what has timed out.
const TICK_MS: u64 = 1_000;
/// Index rows of one conversation that stay in memory while nothing happens in it.
pub(crate) const INDEX_ROWS_MAX: usize = 256;

/// A one-time enrolment code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invite {
    pub(crate) member: MemberId,
    pub(crate) until_ms: u64,
}

/// Somebody who waits for a batch to be durable.
#[derive(Debug)]
pub(crate) enum Waiter {
    Ack(SessionId, Tag, Vec<Outcome>),
    Answer(u64, Outcome),
    Planned(u64, ImportPlan),
    Enrolled(SessionId, DeviceId, MemberId),
}

/// The hub's state machine. See the crate's text for the whole loop.
#[derive(Debug)]
pub struct Hub {
    pub(crate) id: HubId,
    pub(crate) pinned: PinnedKeyHash,
    pub(crate) config: HubConfig,
    pub(crate) planted: Planted,
    pub(crate) now: Now,
    pub(crate) started: Now,
    pub(crate) log: Log,
    pub(crate) access: Access,
    pub(crate) words: Arc<dyn Words>,
    pub(crate) scanning: Scanning,
    /// Counts changes of who may see what.
    pub(crate) access_version: u64,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) conversations: BTreeMap<ConversationId, Box<Slot>>,
    /// The sum of their weights.
    pub(crate) conversations_bytes: usize,
    /// Conversations by use, oldest first.
    pub(crate) used: BTreeMap<u64, ConversationId>,
    pub(crate) uses: u64,
    /// Pins given back while their conversation was being worked in.
    pub(crate) unpins: Vec<ConversationId>,
    pub(crate) leases: BTreeMap<MemberId, BTreeMap<ConversationId, u64>>,
    /// By the keyed hash of their code.
    pub(crate) invites: BTreeMap<[u8; 32], Invite>,
    /// Wrong codes in this minute.
    pub(crate) wrong_codes: (u64, u32),
    pub(crate) seen: LastSeen,
    pub(crate) offers: BTreeMap<(SessionId, Tag), OfferJob>,
    pub(crate) waiters: Vec<(Ticket, Waiter)>,
    pub(crate) floor: Lsn,
    /// The newest durable entry with which a document went. What was read before it is read again before it is sent.
    pub(crate) newest_gone: Lsn,
    pub(crate) compaction: Compaction,
    pub(crate) expiry: Expiry,
    pub(crate) shreds: Shreds,
    /// Losses that are still being replayed after a restore; nobody is let in before.
    pub(crate) replays: usize,
    /// The batch that must be durable before anyone is let in.
    pub(crate) gate: Ticket,
    pub(crate) hellos: (u64, u32),
    ticked_ms: u64,
    pub(crate) draining: bool,
    drained: bool,
    stopped: bool,
}

impl Hub {
    /// Starts the hub at `now`. A new or restored hub first commits its epoch; nobody is welcomed before.
    pub fn new(boot: Boot, now: Now, effects: &mut Vec<Effect>) -> Self {
        let Boot { members, devices, revoked, policy, .. } = boot;
        let directory = Directory { members, devices, revoked, policy };
        let mut hub = Self {
            id: boot.hub,
            pinned: boot.pinned,
            config: boot.config,
            planted: boot.planted,
            now,
            started: now,
            log: Log::new(boot.key, boot.epochs, boot.head, boot.chain, boot.at_ms, boot.audit),
            access: Access::new(directory),
            words: boot.words,
            scanning: Scanning::new(boot.scan),
            access_version: 0,
            sessions: BTreeMap::new(),
            conversations: BTreeMap::new(),
            conversations_bytes: 0,
            used: BTreeMap::new(),
            uses: 0,
            unpins: Vec::new(),
            leases: BTreeMap::new(),
            invites: BTreeMap::new(),
            wrong_codes: (0, 0),
            seen: LastSeen::new(boot.seen),
            offers: BTreeMap::new(),
            waiters: Vec::new(),
            floor: boot.floor,
            newest_gone: Lsn::ZERO,
            compaction: Compaction::default(),
            expiry: Expiry::default(),
            shreds: Shreds::new(boot.shredded),
            replays: 0,
            gate: Ticket::default(),
            hellos: (0, 0),
            ticked_ms: now.mono_ms,
            draining: false,
            drained: false,
            stopped: false,
        };
        if boot.at_ms > 0 {
            hub.watch_clock(now.wall_ms.saturating_sub(boot.at_ms), effects);
        }
        if boot.restored || hub.log.epochs.is_empty() {
            hub.begin_epoch(None, &boot.entropy, effects);
        }
        if boot.restored {
            hub.replay_losses(&boot.outside, effects);
        }
        hub
    }

    /// Handles one input; what is to be done is appended to `effects`, in order.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        let before = std::mem::replace(&mut self.now, now);
        let ahead = now.wall_ms.saturating_sub(before.wall_ms);
        self.watch_clock(ahead.saturating_sub(now.mono_ms.saturating_sub(before.mono_ms)), effects);
        if self.stopped {
            return;
        }
        match input {
            Input::Connected { session, entropy } => self.connected(session, &entropy, effects),
            Input::FrameReceived { session, frame } => self.frame_received(session, frame, effects),
            Input::Sent { session, bytes } => {
                if let Some(state) = self.sessions.get_mut(&session) {
                    state.unsent_bytes = state.unsent_bytes.saturating_sub(bytes);
                    self.pump(session, effects);
                }
            }
            Input::Disconnected { session } => self.disconnected(session),
            Input::Acted { request, deed } => self.deed_done(request, deed, effects),
            Input::Committed { ticket } => self.batches_committed(ticket, effects),
            Input::CommitFailed => {
                // Nothing that waits for this batch may ever be acknowledged. DESIGN idea 4.
                self.stopped = true;
                effects.push(Effect::Stop);
            }
            Input::Loaded { query, outcome } => self.loaded(query, outcome, effects),
            Input::Applied { document, outcome } => self.applied(document, outcome, effects),
            Input::Scanned { document, hits } => self.scanned(document, hits, effects),
            Input::WordsChanged { request, list, words, added, removed } => {
                self.words_changed(request, list, words, Deed::WordsChanged { added, removed }, effects);
            }
            Input::Uploaded { conversation, member, media } => {
                self.enqueue(conversation, Work::Uploaded(member, media), effects);
            }
            Input::Administered { request, command, entropy } => {
                self.administered(request, command, &entropy, effects);
            }
            Input::ImportAsked { request, conversation, keys } => {
                self.import_asked(request, conversation, keys, effects);
            }
            Input::ImportBuilt { request, segment } => {
                self.import_work(segment.document.conversation, Work::Import(request, segment), effects);
            }
            Input::UndoAsked { request, conversation, import } => {
                self.import_work(conversation, Work::ImportUndo(request, import), effects);
            }
            Input::ShredAsked { request, conversation } => {
                self.import_work(conversation, Work::Shred(request), effects);
            }
            Input::Shredded { conversation, done } => self.shredded(conversation, done, effects),
            Input::Ticked => self.ticked(effects),
            Input::DrainRequested => self.drain(effects),
        }
        for conversation in std::mem::take(&mut self.unpins) {
            if let Some(slot) = self.conversations.get_mut(&conversation) {
                slot.pins = slot.pins.saturating_sub(1);
            }
        }
        if self.planted.is(HubBug::FanOutBeforeSync) {
            let undurable = self.log.undurable();
            self.fan_out(&undurable, effects);
        }
        self.evict();
        if self.draining && !self.drained && self.log.is_quiet() && self.waiters.is_empty() && self.is_workless() {
            self.drained = true;
            effects.push(Effect::Drained);
        }
    }

    /// Whether no frame waits for rows.
    fn is_workless(&self) -> bool {
        self.conversations.values().all(|slot| slot.queue.is_empty())
    }

    /// The monotonic time, milliseconds, at which it wants [`Input::Ticked`]; none when it waits for nothing.
    #[must_use]
    pub const fn next_wake(&self) -> Option<u64> {
        if self.stopped { None } else { Some(self.ticked_ms + TICK_MS) }
    }

    /// Conversations in memory, for metrics.
    #[must_use]
    pub fn conversations_in_memory(&self) -> usize {
        self.conversations.len()
    }

    /// What they take, bytes, for metrics and for checks of boundedness.
    #[must_use]
    pub const fn conversations_bytes(&self) -> usize {
        self.conversations_bytes
    }

    /// The devices that are connected.
    #[must_use]
    pub fn devices_connected(&self) -> std::collections::BTreeSet<DeviceId> {
        self.sessions.values().filter_map(Session::open).map(|open| open.device).collect()
    }

    /// The newest LSN that is durable.
    #[must_use]
    pub const fn committed(&self) -> Lsn {
        self.log.committed
    }

    /// The epoch of the log.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.log.epoch
    }

    fn frame_received(
        &mut self,
        id: SessionId,
        frame: Result<DeviceFrame, codec::DecodeError>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.heard_ms = self.now.mono_ms;
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return self.refuse_session(id, RefusalCode::from(error).into(), effects),
        };
        let Phase::Open(open) = &mut session.phase else {
            return match (&session.phase, frame) {
                (Phase::Challenged { .. }, DeviceFrame::Hello(hello)) => self.hello(id, &hello, effects),
                (Phase::Challenged { .. }, DeviceFrame::Enrol(enrol)) => self.enrol(id, enrol, effects),
                (Phase::Closed, _) => {}
                _ => self.refuse_session(id, RefusalCode::FrameUnexpected.into(), effects),
            };
        };
        if self.draining && !matches!(frame, DeviceFrame::Ping {}) {
            return self.refuse_frame(id, &frame, RefusalCode::Draining.into(), effects);
        }
        let member = open.member;
        let (conversation, work) = match frame {
            DeviceFrame::Hello(_) | DeviceFrame::Enrol(_) => {
                return self.refuse_session(id, RefusalCode::FrameUnexpected.into(), effects);
            }
            DeviceFrame::Ping {} => return self.send(id, &HubFrame::Pong {}, effects),
            DeviceFrame::Command { tag, command } => return self.command(id, tag, member, command, effects),
            DeviceFrame::Offer { tag, entries } => return self.offered(id, tag, entries, effects),
            DeviceFrame::Push(push) => (push.document.conversation, Work::Push(id, push)),
            DeviceFrame::Mark { tag, conversation, message } => (conversation, Work::Mark(id, tag, message)),
            DeviceFrame::Typing { conversation } => (conversation, Work::Typing(id)),
            DeviceFrame::Resolve(resolve) => (resolve.conversation, Work::Resolve(id, resolve)),
            DeviceFrame::Fetch(fetch) => (fetch.conversation, Work::Fetch(id, fetch)),
        };
        self.park(conversation, work, effects);
    }

    /// Queues a session's work, unless too much of it waits already.
    pub(crate) fn park(&mut self, conversation: ConversationId, work: Work, effects: &mut Vec<Effect>) {
        let id = work.session().expect("only frames are parked");
        let Some(open) = self.sessions.get_mut(&id).and_then(Session::open_mut) else { return };
        let parked_bytes = open.parked_bytes + work.bytes();
        // One frame always fits, however large: it is bounded by itself.
        if open.parked_bytes > 0 && parked_bytes > limits::PARKED_BYTES_MAX {
            let mut refusal = Refusal::from(RefusalCode::Busy);
            refusal.retry_after_ms = Some(100);
            return match work {
                Work::Push(_, push) => self.ack_now(id, push.tag, vec![Outcome::Refused(refusal)], effects),
                Work::Resolve(_, resolve) => self.ack_now(id, resolve.tag, vec![Outcome::Refused(refusal)], effects),
                Work::Mark(_, tag, _) => self.ack_now(id, tag, vec![Outcome::Refused(refusal)], effects),
                Work::Offer(_, tag, entries) => {
                    let refused = entries.iter().map(|(place, _)| (*place, Outcome::Refused(refusal.clone())));
                    self.offer_results(id, tag, refused.collect(), effects);
                }
                Work::Command(Commander::Session(_, tag, _), _) => {
                    self.ack_now(id, tag, vec![Outcome::Refused(refusal)], effects);
                }
                Work::Fetch(_, fetch) => self.send(id, &refused(Some(fetch.tag), refusal), effects),
                _ => self.send(id, &refused(None, refusal), effects),
            };
        }
        open.parked_bytes = parked_bytes;
        self.enqueue(conversation, work, effects);
    }

    fn refuse_frame(&mut self, id: SessionId, frame: &DeviceFrame, refusal: Refusal, effects: &mut Vec<Effect>) {
        let answer = vec![Outcome::Refused(refusal.clone())];
        match frame {
            DeviceFrame::Push(push) => self.ack_now(id, push.tag, answer, effects),
            DeviceFrame::Resolve(resolve) => self.ack_now(id, resolve.tag, answer, effects),
            DeviceFrame::Command { tag, .. } | DeviceFrame::Mark { tag, .. } => self.ack_now(id, *tag, answer, effects),
            DeviceFrame::Offer { tag, entries } => {
                self.ack_now(id, *tag, vec![Outcome::Refused(refusal); entries.len()], effects);
            }
            DeviceFrame::Fetch(fetch) => self.send(id, &refused(Some(fetch.tag), refusal), effects),
            _ => self.send(id, &refused(None, refusal), effects),
        }
    }

    /// Sends a frame and charges it to the session's credit. A peer that reads nothing while it is owed several full
    /// queues is closed: its answers cannot be kept for ever.
    pub(crate) fn send(&mut self, id: SessionId, frame: &HubFrame, effects: &mut Vec<Effect>) {
        self.send_bytes(id, codec::encode(frame).into(), effects);
    }

    pub(crate) fn send_bytes(&mut self, id: SessionId, bytes: Bytes, effects: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if matches!(session.phase, Phase::Closed) {
            return;
        }
        session.unsent_bytes += bytes.len();
        let too_slow = session.unsent_bytes > 4 * self.config.session_queue_bytes_max.max(limits::FRAME_BYTES_MAX);
        effects.push(Effect::Send { session: id, bytes });
        if too_slow {
            self.close(id, CloseReason::TooSlow, effects);
        }
    }

    /// Acknowledges at once: for answers that nothing undurable stands behind.
    pub(crate) fn ack_now(&mut self, id: SessionId, tag: Tag, results: Vec<Outcome>, effects: &mut Vec<Effect>) {
        let witness = self.log.committed_cursor();
        self.send(id, &HubFrame::Ack { tag, results, witness }, effects);
    }

    /// Acknowledges once `ticket` is durable.
    pub(crate) fn ack_after(
        &mut self,
        ticket: Ticket,
        id: SessionId,
        tag: Tag,
        results: Vec<Outcome>,
        effects: &mut Vec<Effect>,
    ) {
        if self.log.is_durable(ticket) {
            self.ack_now(id, tag, results, effects);
        } else {
            self.waiters.push((ticket, Waiter::Ack(id, tag, results)));
        }
    }

    /// Tells the peer why and closes.
    pub(crate) fn refuse_session(&mut self, id: SessionId, refusal: Refusal, effects: &mut Vec<Effect>) {
        let code = refusal.known().unwrap_or(RefusalCode::Malformed);
        self.send(id, &refused(None, refusal), effects);
        self.close(id, CloseReason::Refused(code), effects);
    }

    pub(crate) fn close(&mut self, id: SessionId, reason: CloseReason, effects: &mut Vec<Effect>) {
        self.leave(id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if !matches!(session.phase, Phase::Closed) {
            session.phase = Phase::Closed;
            effects.push(Effect::Close { session: id, reason });
        }
    }

    fn disconnected(&mut self, id: SessionId) {
        self.leave(id);
        self.sessions.remove(&id);
    }

    /// Gives back what a session holds of others.
    fn leave(&mut self, id: SessionId) {
        self.note_seen(id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Some(open) = session.open_mut() {
            let mut pinned = open.take_pins();
            pinned.sort_unstable();
            for conversation in pinned {
                self.unpin(conversation);
            }
        }
        self.offers.retain(|(session, _), _| *session != id);
        self.waiters.retain(|(_, waiter)| match waiter {
            Waiter::Ack(session, ..) | Waiter::Enrolled(session, ..) => *session != id,
            Waiter::Answer(..) | Waiter::Planned(..) => true,
        });
    }

    /// The open sessions, in order of number.
    pub(crate) fn open_sessions(&self) -> Vec<SessionId> {
        self.sessions.iter().filter(|(_, session)| session.open().is_some()).map(|(id, _)| *id).collect()
    }

    pub(crate) fn open(&self, id: SessionId) -> Option<&Open> {
        self.sessions.get(&id).and_then(Session::open)
    }

    pub(crate) fn open_mut(&mut self, id: SessionId) -> Option<&mut Open> {
        self.sessions.get_mut(&id).and_then(Session::open_mut)
    }

    /// Draws a new epoch and closes every session: all devices come again and compare. DESIGN section 6.
    pub(crate) fn begin_epoch(&mut self, lost: Option<Epoch>, entropy: &[u8; 32], effects: &mut Vec<Effect>) {
        let mut epoch = Epoch::default();
        epoch.0.copy_from_slice(&blake3::derive_key("lockstep epoch 1", entropy)[..16]);
        let mut draft = Draft::default();
        for epoch in lost.into_iter().chain([epoch]) {
            self.log.begin_epoch(&mut draft, epoch);
        }
        self.audit(&mut draft, Act::EpochBegan);
        self.gate = self.log.commit(draft, effects);
        let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.close(session, CloseReason::NewEpoch, effects);
        }
    }

    /// Whether devices may be let in: the epoch and every replayed loss are durable.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.replays == 0 && self.log.is_durable(self.gate)
    }

    fn ticked(&mut self, effects: &mut Vec<Effect>) {
        let now_ms = self.now.mono_ms;
        self.ticked_ms = now_ms;
        let timed_out = |session: &Session| match &session.phase {
            Phase::Challenged { since_ms, .. } => now_ms >= since_ms + limits::HANDSHAKE_MS_MAX,
            Phase::Open(_) => now_ms >= session.heard_ms + limits::SESSION_IDLE_MS_MAX,
            Phase::Proving(_) | Phase::Enrolling | Phase::Closed => false,
        };
        let late: Vec<SessionId> =
            self.sessions.values().filter(|session| timed_out(session)).map(|session| session.id).collect();
        for session in late {
            self.refuse_session(session, RefusalCode::TimedOut.into(), effects);
        }
        self.invites.retain(|_, invite| now_ms < invite.until_ms);
        self.leases.retain(|_, held| {
            held.retain(|_, until_ms| now_ms < *until_ms);
            !held.is_empty()
        });
        self.compact_due(effects);
        self.check_retention(effects);
        self.check_keep(effects);
        self.shred_on(effects);
        self.scan_on(effects);
        self.write_seen(false, effects);
        self.audit_more(false, effects);
    }

    fn drain(&mut self, effects: &mut Vec<Effect>) {
        self.draining = true;
        self.write_seen(true, effects);
        self.audit_more(true, effects);
        for session in self.open_sessions() {
            self.send(session, &HubFrame::Draining {}, effects);
        }
    }

    pub(crate) fn report(&self, report: Report, effects: &mut Vec<Effect>) {
        effects.push(Effect::Report(report));
    }
}

/// A Refusal frame.
pub(crate) fn refused(tag: Option<Tag>, refusal: Refusal) -> HubFrame {
    HubFrame::Refusal { tag, refusal }
}
