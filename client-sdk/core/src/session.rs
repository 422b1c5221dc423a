//! The session with the hub: connecting, handshake, keeping alive, and what frames mean for it.

use bytes::Bytes;
use lockstep_protocol::auth::Transcript;
use lockstep_protocol::codec::{self, DecodeError};
use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::entry::Entry;
use lockstep_protocol::frame::{
    Catalogue, CatalogueConversation, DeviceFrame, Enrol, Entries, Hello, HubFrame, Team, Welcome,
};
use lockstep_protocol::id::{HubId, InviteCode, Lsn, Nonce};
use lockstep_protocol::limits::{HANDSHAKE_MS_MAX, PROTOCOL_VERSION};
use lockstep_protocol::refusal::{Refusal, RefusalClass, RefusalCode};

use crate::backoff;
use crate::device::Device;
use crate::effect::{Effect, Notice};
use crate::input::{ConnectionId, Now};
use crate::job::{Job, Range};
use crate::planted::ClientBug;

/// A Ping is sent after this long without a frame from the hub, or to it.
const PING_MS: u64 = 30_000;
/// Pings that may go unanswered.
const PINGS_LOST_MAX: u32 = 2;
/// A session this old resets the backoff.
const STEADY_MS: u64 = 5_000;
/// Pages of a catalogue that are gathered at most: a million conversations.
const CATALOGUE_MAX: usize = 1_000_000;

/// How far the session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Nothing is tried until a person wants it.
    Stopped,
    /// The next attempt comes at this time.
    Waiting(u64),
    /// Connecting, or waiting for Challenge.
    Connecting,
    /// Hello or Enrol is sent.
    Greeted,
    /// Welcomed.
    Open,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) phase: Phase,
    connection: ConnectionId,
    attempts: u32,
    /// When the present phase must be over, or the next Ping is due.
    deadline_ms: u64,
    welcomed_ms: u64,
    /// When the newest frame came.
    heard_ms: u64,
    /// When the newest frame was sent.
    told_ms: u64,
    /// Pings since then that nothing followed.
    pings: u32,
    hub: Option<HubId>,
    enrol: Option<(InviteCode, String)>,
    /// A code was refused: perhaps its first use succeeded and only its Welcome was lost. Then Hello gets in.
    hello_once: bool,
    /// The catalogue's pages so far; none when it is not being waited for.
    pages: Option<Pages>,
    /// The hub takes nothing new.
    pub(crate) draining: bool,
    /// Something is wrong with the connection: it is dropped at the end of the turn.
    pub(crate) broken: bool,
    /// Where the hub's log ended when it let the device in.
    pub(crate) head: Lsn,
    pub(crate) caught_up: bool,
}

#[derive(Clone, Debug, Default)]
struct Pages {
    next: u32,
    conversations: Vec<CatalogueConversation>,
    team: Option<Team>,
}

impl Session {
    pub(crate) const fn new(now: Now) -> Self {
        Self {
            phase: Phase::Waiting(now.mono_ms),
            connection: ConnectionId(0),
            attempts: 0,
            deadline_ms: 0,
            welcomed_ms: 0,
            heard_ms: 0,
            told_ms: 0,
            pings: 0,
            hub: None,
            enrol: None,
            hello_once: false,
            pages: None,
            draining: false,
            broken: false,
            head: Lsn::ZERO,
            caught_up: false,
        }
    }

    pub(crate) const fn online(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    pub(crate) const fn next_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Stopped => None,
            Phase::Waiting(at_ms) => Some(at_ms),
            Phase::Connecting | Phase::Greeted | Phase::Open => Some(self.deadline_ms),
        }
    }

    /// When the next Ping is due, unless one is on its way.
    fn plan_ping(&mut self) {
        if self.online() && self.pings == 0 {
            self.deadline_ms = self.heard_ms.min(self.told_ms) + PING_MS;
        }
    }

    const fn connected(&self) -> bool {
        matches!(self.phase, Phase::Connecting | Phase::Greeted | Phase::Open)
    }
}

impl Device {
    /// Whether the device may ask and push: welcomed, and the catalogue, if one comes, taken.
    pub(crate) const fn ready(&self) -> bool {
        self.session.online() && self.session.pages.is_none() && !self.session.broken
    }

    /// Timers of the session.
    pub(crate) fn tick_session(&mut self) {
        let now_ms = self.now.mono_ms;
        match self.session.phase {
            Phase::Waiting(at_ms) if at_ms <= now_ms => {
                if self.meta.member.is_none() && self.session.enrol.is_none() && !self.session.hello_once {
                    self.session.phase = Phase::Stopped;
                    return;
                }
                self.session.connection.0 += 1;
                self.session.phase = Phase::Connecting;
                self.session.deadline_ms = now_ms + HANDSHAKE_MS_MAX;
                self.out.push(Effect::Connect { connection: self.session.connection });
            }
            Phase::Connecting | Phase::Greeted if self.session.deadline_ms <= now_ms => self.drop_connection(None),
            Phase::Open if self.session.deadline_ms <= now_ms => {
                if self.session.pings >= PINGS_LOST_MAX {
                    self.drop_connection(None);
                } else {
                    self.session.pings += 1;
                    self.session.deadline_ms = now_ms + PING_MS;
                    self.send(&DeviceFrame::Ping {});
                }
            }
            _ => {}
        }
    }

    /// Connects now.
    pub(crate) fn connect_now(&mut self) {
        if !self.session.connected() {
            self.session.attempts = 0;
            self.session.phase = Phase::Waiting(self.now.mono_ms);
            self.tick_session();
        }
    }

    /// Enrols at the next connection.
    pub(crate) fn enrol(&mut self, code: InviteCode, name: String) {
        self.session.enrol = Some((code, name));
        if self.session.connected() {
            self.drop_connection(None);
        }
        self.connect_now();
    }

    pub(crate) fn connected(&mut self, connection: ConnectionId) {
        if connection == self.session.connection && self.session.phase == Phase::Connecting {
            self.session.deadline_ms = self.now.mono_ms + HANDSHAKE_MS_MAX;
        }
    }

    pub(crate) fn disconnected(&mut self, connection: ConnectionId) {
        if connection == self.session.connection && self.session.connected() {
            self.lose_connection(None);
        }
    }

    /// Closes the connection and tries again later, at least `retry_after_ms` later.
    pub(crate) fn drop_connection(&mut self, retry_after_ms: Option<u32>) {
        if self.session.connected() {
            self.out.push(Effect::Disconnect { connection: self.session.connection });
            self.lose_connection(retry_after_ms);
        }
        self.session.broken = false;
    }

    fn lose_connection(&mut self, retry_after_ms: Option<u32>) {
        let now_ms = self.now.mono_ms;
        if self.session.online() {
            self.notice(Notice::Offline);
            if now_ms >= self.session.welcomed_ms + STEADY_MS {
                self.session.attempts = 0;
            }
        }
        let delay_ms = backoff::delay_ms(self.session.attempts, &mut self.random);
        self.session.attempts = self.session.attempts.saturating_add(1);
        self.session.phase = Phase::Waiting(now_ms + delay_ms.max(u64::from(retry_after_ms.unwrap_or(0))));
        self.session.pages = None;
        self.session.draining = false;
        self.session.broken = false;
        self.session.caught_up = false;
        self.session.pings = 0;
        self.drop_session_jobs();
        self.drop_questions();
        self.fetches.clear();
        self.drop_leases();
    }

    /// Sends one frame, if there is a connection.
    pub(crate) fn send(&mut self, frame: &DeviceFrame) {
        if self.session.connected() {
            let bytes = Bytes::from(codec::encode(frame));
            self.out.push(Effect::Send { connection: self.session.connection, bytes });
            self.session.told_ms = self.now.mono_ms;
            self.session.plan_ping();
        }
    }

    pub(crate) fn frame_received(&mut self, connection: ConnectionId, frame: Result<HubFrame, DecodeError>) {
        if connection != self.session.connection || !self.session.connected() || self.session.broken {
            return;
        }
        let Ok(frame) = frame else {
            self.session.broken = true;
            return;
        };
        self.session.pings = 0;
        self.session.heard_ms = self.now.mono_ms;
        self.session.plan_ping();
        match (self.session.phase, frame) {
            (Phase::Connecting, HubFrame::Challenge { nonce, hub }) => self.greet(nonce, hub),
            (Phase::Greeted, HubFrame::Welcome(welcome)) => self.welcomed(welcome),
            (_, HubFrame::Refusal { tag, refusal }) => self.refused(tag, refusal),
            (Phase::Open, frame) => self.frame_in_session(frame),
            (_, HubFrame::Draining {}) => {}
            _ => self.session.broken = true,
        }
    }

    fn frame_in_session(&mut self, frame: HubFrame) {
        match frame {
            HubFrame::Catalogue(page) => match page.tag {
                Some(tag) => self.take_page(tag, page.conversations),
                None => self.take_catalogue_page(page),
            },
            HubFrame::Entries(entries) => self.queue_entries(entries),
            HubFrame::Snapshot(snapshot) => self.take_part(snapshot),
            HubFrame::Ack { tag, results, witness } => self.queue(Job::Ack { tag, results, witness }),
            HubFrame::Lease { conversation, holder, for_ms } => self.take_lease(conversation, holder, for_ms),
            HubFrame::Draining {} => self.session.draining = true,
            HubFrame::Pong {} => {}
            HubFrame::Fetched { tag, conversation: _, before } => self.fetched(tag, before),
            HubFrame::Challenge { .. } | HubFrame::Welcome(_) | HubFrame::Refusal { .. } => self.session.broken = true,
        }
    }

    fn queue_entries(&mut self, frame: Entries) {
        let Entries { from, upto, tag, entries, granted, revoked } = frame;
        // What a newer hub wrote and this version does not understand is passed over; the cursor covers it.
        let entries = entries.iter().filter_map(|bytes| Entry::from_bytes(&bytes.0)).collect();
        let cursor = Cursor { epoch: self.epoch(), lsn: upto, tag };
        self.queue(Job::Entries(Range { from, cursor, entries, granted, revoked }));
    }

    /// Answers Challenge.
    fn greet(&mut self, nonce: Nonce, hub: HubId) {
        if self.meta.hub.is_some_and(|known| known != hub) {
            self.notice(Notice::WrongHub);
            self.session.broken = true;
            return;
        }
        self.session.hub = Some(hub);
        let transcript = Transcript { hub, pinned: self.pinned, nonce, device: self.id, version: PROTOCOL_VERSION };
        let frame = match &self.session.enrol {
            Some((code, name)) => DeviceFrame::Enrol(Enrol {
                version: PROTOCOL_VERSION,
                code: *code,
                key: self.public,
                name: name.clone(),
                proof: transcript.sign_enrol(&self.key, code),
            }),
            None => DeviceFrame::Hello(Hello {
                version: PROTOCOL_VERSION,
                device: self.id,
                proof: transcript.sign_hello(&self.key),
                cursor: self.meta.cursor,
                witness: self.meta.witness,
                capabilities: 0,
            }),
        };
        self.session.phase = Phase::Greeted;
        self.session.deadline_ms = self.now.mono_ms + HANDSHAKE_MS_MAX;
        self.send(&frame);
    }

    fn welcomed(&mut self, welcome: Welcome) {
        let Welcome { epoch, now_ms, member, role, policy, catalogue, head, .. } = welcome;
        self.session.phase = Phase::Open;
        self.session.welcomed_ms = self.now.mono_ms;
        self.session.head = head;
        self.session.plan_ping();
        self.session.enrol = None;
        self.session.hello_once = false;
        self.session.pages = catalogue.then(Pages::default);
        self.pauses.clear_all();
        self.unofferable.clear();
        self.offers.reopen();
        self.clock.correct(self.now.wall_ms, now_ms);
        let changed = self.meta.epochs.last() != Some(&epoch);
        if changed || self.meta.member != Some(member) || self.meta.hub != self.session.hub {
            self.meta.hub = self.session.hub;
            self.meta.member = Some(member);
            self.pending.meta = true;
        }
        if changed {
            self.begin_epoch(epoch);
        }
        if let Some(team) = &mut self.team
            && (team.role, team.policy) != (role, policy)
        {
            (team.role, team.policy) = (role, policy);
            self.pending.team = true;
        }
        if !catalogue && self.cursor_lsn().is_none() {
            // Entries cannot follow a cursor that is not of this epoch.
            self.session.broken = true;
        }
        self.notice(Notice::Online { member, role });
    }

    fn take_catalogue_page(&mut self, Catalogue { page, conversations, team, end, shredded, tag: _ }: Catalogue) {
        // Page 0 starts the catalogue over, at any time: a change of role or policy needs one in mid-session.
        if page == 0 {
            self.session.pages = Some(Pages::default());
        }
        let Some(pages) = &mut self.session.pages else {
            self.session.broken = true;
            return;
        };
        if page != pages.next || pages.conversations.len() + conversations.len() > CATALOGUE_MAX {
            self.session.broken = true;
            return;
        }
        pages.next += 1;
        pages.conversations.extend(conversations);
        pages.team = pages.team.take().or(team);
        if let Some(end) = end {
            let Pages { conversations, team, .. } = core::mem::take(pages);
            let shredded = shredded.unwrap_or_default();
            self.queue(Job::Catalogue { conversations, team, end, shredded });
        }
    }

    /// The catalogue is taken: pushes may begin, unless the next one has begun already.
    pub(crate) fn catalogue_taken(&mut self) {
        self.session.pages.take_if(|pages| pages.next == 0);
    }

    /// A refusal of the session, or of a frame that has no Ack.
    fn refused(&mut self, tag: Option<u64>, refusal: Refusal) {
        if let Some(tag) = tag {
            self.tag_refused(tag, refusal);
            return;
        }
        match refusal.known() {
            Some(RefusalCode::CodeInvalid | RefusalCode::AlreadyExists) if self.session.phase == Phase::Greeted => {
                self.session.hello_once = self.session.enrol.take().is_some();
                self.notice(Notice::Refused(Box::new(refusal)));
                self.drop_connection(None);
            }
            Some(
                code @ (RefusalCode::DeviceRevoked
                | RefusalCode::DeviceUnknown
                | RefusalCode::VersionUnsupported
                | RefusalCode::ProofInvalid),
            ) => {
                self.stop(code);
            }
            Some(RefusalCode::LeasesFull) => {
                let conversation = self.last_typed();
                self.notice(Notice::LeaseRefused { conversation, refusal: Box::new(refusal) });
            }
            Some(
                RefusalCode::Busy
                | RefusalCode::RateLimited
                | RefusalCode::Draining
                | RefusalCode::SessionsFull
                | RefusalCode::TimedOut,
            ) if self.session.phase != Phase::Open => self.drop_connection(refusal.retry_after_ms),
            Some(RefusalCode::HashDiffers) => self.stop_pushing(),
            Some(code)
                if self.session.phase == Phase::Greeted
                    && self.session.enrol.is_some()
                    && matches!(code.class(), RefusalClass::Never | RefusalClass::Request) =>
            {
                self.notice(Notice::Refused(Box::new(refusal)));
                self.stop(code);
            }
            _ => self.notice(Notice::Refused(Box::new(refusal))),
        }
    }

    /// The hub will not have it: no further attempt before a person wants one.
    fn stop(&mut self, code: RefusalCode) {
        self.drop_connection(None);
        self.session.hello_once = false;
        self.session.enrol = None;
        self.session.phase = Phase::Stopped;
        self.notice(Notice::Stopped(code));
    }

    /// Whether a bug is planted.
    pub(crate) fn bug(&self, bug: ClientBug) -> bool {
        self.planted.is(bug)
    }
}
