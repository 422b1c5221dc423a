//! A device's driver in the simulator: its store, worker and network, and the faults of its machine.

use std::collections::{BTreeMap, VecDeque};

use lockstep_client_core::device::{Boot, Device, DeviceConfig};
use lockstep_client_core::effect::{ActOutcome, Apply, Effect, JobId, Notice, Transaction};
use lockstep_client_core::input::{Act, AppliedDocument, ChainFact, ConnectionId, Input, Now};
use lockstep_client_core::planted::Planted;
use lockstep_client_core::query::Query;
use lockstep_client_core::store::Rows;
use lockstep_core::input::SessionId;
use lockstep_protocol::auth::DeviceKey;
use lockstep_protocol::document;
use lockstep_protocol::fact::Fact;
use lockstep_protocol::id::{ConversationId, DeviceId, DocumentId, Epoch, InviteCode, Lsn, MemberId, MessageId};
use lockstep_protocol::refusal::RefusalCode;

use super::acts::sees_reply;
use super::{Bug, EFFECTS_MAX, Event, MS, World};
use crate::checker::Violation;
use crate::checker::screen::Screen;
use crate::hostile::Hostile;
use crate::worker;

/// A device's process, store and place in the network.
#[derive(Debug)]
pub(super) struct SimDevice {
    pub(super) key: DeviceKey,
    pub(super) id: DeviceId,
    pub(super) member: MemberId,
    pub(super) code: InviteCode,
    pub(super) core: Option<Device>,
    pub(super) hostile: Option<Hostile>,
    /// Counts starts: what belongs to an earlier one is ignored.
    pub(super) run: u64,
    started_us: u64,
    tick_us: u64,
    pub(super) skew_ms: i64,
    /// What is durable.
    pub(super) rows: Rows,
    written: VecDeque<Transaction>,
    syncing: bool,
    /// A copy of the store.
    pub(super) backup: Option<Rows>,
    pub(super) connection: Option<(ConnectionId, SessionId)>,
    pub(super) offline_until_us: u64,
    /// The hub said that it is no more.
    pub(super) stopped: Option<RefusalCode>,
    screen: Screen,
    live: BTreeMap<DocumentId, Vec<document::ChainFact>>,
    worked_us: u64,
    pub(super) requests: u64,
    pub(super) open_requests: u64,
    /// Requests for replies while an accepted reply was on the screen.
    pub(super) replies_seeing: BTreeMap<u64, ConversationId>,
    /// Its store went back to an older copy since the hub's disk last did.
    pub(super) restored: bool,
    /// It is revoked right behind its next Hello.
    pub(super) lost_at_hello: bool,
    /// The log's durable end when its connection was begun, and how often the hub's disk had gone back.
    log_then: (u64, Epoch, Lsn),
}

impl SimDevice {
    pub(super) fn new(member: MemberId, hostile: bool, code: InviteCode, secret: [u8; 32]) -> Self {
        let key = DeviceKey::new(&secret);
        Self {
            id: DeviceId::of(&key.public()),
            hostile: hostile.then(|| Hostile::new(key.clone(), code)),
            key,
            member,
            code,
            core: None,
            run: 0,
            started_us: 0,
            tick_us: 0,
            skew_ms: 0,
            rows: Rows::default(),
            written: VecDeque::new(),
            syncing: false,
            backup: None,
            connection: None,
            offline_until_us: 0,
            stopped: None,
            screen: Screen::default(),
            live: BTreeMap::new(),
            worked_us: 0,
            requests: 0,
            open_requests: 0,
            replies_seeing: BTreeMap::new(),
            restored: false,
            lost_at_hello: false,
            log_then: Default::default(),
        }
    }

    pub(super) fn is_enrolled(&self) -> bool {
        match &self.hostile {
            Some(hostile) => hostile.welcomed,
            None => self.rows.meta.member.is_some(),
        }
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        self.connection.map(|(_, session)| session)
    }

    /// Whether its disk holds a message of its own in some state.
    fn keeps(&self, id: MessageId) -> bool {
        let is_it = |fact: &Fact| matches!(fact, Fact::Message(message) if message.id == id);
        self.rows.outbox.values().any(|row| is_it(&row.fact))
            || self.rows.not_sent.values().any(|row| is_it(&row.fact))
            || self.rows.facts.values().any(|row| is_it(&row.placed.fact))
    }

    /// Whether nothing of it waits for its disk.
    pub(super) fn is_settled(&self) -> bool {
        self.written.is_empty()
    }
}

impl World {
    fn device_now(&self, at: usize) -> Now {
        let device = &self.devices[at];
        Now {
            wall_ms: self.true_wall_ms().saturating_add_signed(device.skew_ms),
            mono_ms: self.now_us / MS - device.started_us / MS,
        }
    }

    pub(super) fn device_boot(&mut self, at: usize) -> Result<(), Violation> {
        let seed = self.rng.bytes();
        let now_us = self.now_us;
        let planted = match self.bug {
            Some(Bug::Client(bug)) => Planted::with(bug),
            _ => Planted::default(),
        };
        let device = &mut self.devices[at];
        if device.core.is_some() {
            return Ok(());
        }
        device.run += 1;
        device.started_us = now_us;
        device.connection = None;
        if device.hostile.is_some() {
            self.hostile_connects(at);
            return Ok(());
        }
        let device = &mut self.devices[at];
        let enrolled = device.rows.meta.member.is_some();
        let boot = Boot {
            key: device.key.clone(),
            pinned: self.hub.identity.pinned,
            stored: device.rows.stored(),
            seed,
            config: DeviceConfig { documents_max: 3, facts_max: 60, waiting_max: 256 },
            planted,
        };
        let code = device.code;
        self.say(|| format!("d{at} starts"));
        let now = self.device_now(at);
        let mut effects = Vec::new();
        self.devices[at].core = Some(Device::new(boot, now, &mut effects));
        self.device_effects(at, effects)?;
        self.arm_device(at);
        if !enrolled {
            self.device_act(at, Act::Enrol { code, name: format!("device {at}") })?;
        }
        Ok(())
    }

    pub(super) fn device_act(&mut self, at: usize, act: Act) -> Result<(), Violation> {
        let device = &mut self.devices[at];
        if device.core.is_none() {
            return Ok(());
        }
        device.requests += 1;
        device.open_requests += 1;
        let request = device.requests;
        self.say(|| format!("d{at} acts {act:?}"));
        self.device_input(at, Input::Acted { request, act })
    }

    pub(super) fn device_input(&mut self, at: usize, input: Input) -> Result<(), Violation> {
        let now = self.device_now(at);
        let Some(core) = &mut self.devices[at].core else { return Ok(()) };
        let mut effects = Vec::new();
        core.handle(now, input, &mut effects);
        if effects.len() > EFFECTS_MAX {
            return Violation::fail("bounded", format!("one input has {} effects at d{at}", effects.len()));
        }
        self.device_effects(at, effects)?;
        let device = &self.devices[at];
        device.core.as_ref().map_or(Ok(()), |core| device.screen.check(at, core))?;
        self.arm_device(at);
        Ok(())
    }

    fn arm_device(&mut self, at: usize) {
        let now_us = self.now_us;
        let device = &mut self.devices[at];
        let Some(wake_ms) = device.core.as_ref().and_then(Device::next_wake) else { return };
        let at_us = ((device.started_us / MS + wake_ms) * MS).max(now_us + 1);
        if device.tick_us <= now_us || at_us < device.tick_us {
            device.tick_us = at_us;
            let run = device.run;
            self.at(at_us, Event::DeviceTick { device: at, run });
        }
    }

    pub(super) fn device_tick(&mut self, at: usize, run: u64) -> Result<(), Violation> {
        if run != self.devices[at].run {
            return Ok(());
        }
        // An earlier wish may have come in between; the core knows what is due.
        self.device_input(at, Input::Ticked)
    }

    fn device_effects(&mut self, at: usize, effects: Vec<Effect>) -> Result<(), Violation> {
        let run = self.devices[at].run;
        for effect in effects {
            match effect {
                Effect::Connect { connection } => {
                    let model = &self.checker.model;
                    self.devices[at].log_then = (self.checker.returns, model.epoch(), model.head());
                    self.device_connects(at, connection);
                }
                Effect::Disconnect { connection } => self.device_closes(at, connection),
                Effect::Send { connection, bytes } => {
                    self.check_told(at, &bytes)?;
                    self.device_sends(at, connection, bytes);
                }
                Effect::Persist(transaction) => {
                    let device = &mut self.devices[at];
                    device.written.push_back(transaction);
                    if !device.syncing {
                        device.syncing = true;
                        self.start_persist(at);
                    }
                }
                Effect::Load(query) => {
                    let delay_us = self.rng.skewed(10, 20 * MS);
                    self.after(delay_us, Event::DeviceLoaded { device: at, run, query });
                }
                Effect::Apply(Apply::Drop { document }) => {
                    self.devices[at].live.remove(&document);
                }
                Effect::Apply(apply) => {
                    // One worker: jobs are done in order.
                    let delay_us = self.rng.skewed(10, 100 * MS);
                    let done_us = self.devices[at].worked_us.max(self.now_us + delay_us);
                    self.devices[at].worked_us = done_us;
                    let (job, document, outcome) = self.device_works(at, apply)?;
                    self.at(
                        done_us,
                        Event::DeviceApplied { device: at, run, job, document, outcome: Box::new(outcome) },
                    );
                }
                Effect::View(event) => self.devices[at].screen.take(event)?,
                Effect::Notice(notice) => {
                    self.say(|| format!("d{at} notes {notice:?}"));
                    match notice {
                        Notice::Stopped(code) => self.devices[at].stopped = Some(code),
                        Notice::Online { .. } => self.devices[at].stopped = None,
                        Notice::CaughtUp => self.check_caught_up(at)?,
                        Notice::UpdateNeeded | Notice::WrongHub => {
                            return Violation::fail("device", format!("d{at} notes {notice:?}"));
                        }
                        _ => {}
                    }
                }
                Effect::ActDone { request, outcome } => {
                    self.say(|| format!("d{at} act {request} → {outcome:?}"));
                    let device = &mut self.devices[at];
                    device.open_requests = device.open_requests.saturating_sub(1);
                    if let ActOutcome::Written(message) = outcome
                        && let Some(conversation) = device.replies_seeing.remove(&request)
                        && sees_reply(&device.rows, conversation)
                        && device.rows.outbox.values().any(|row| {
                            matches!(&row.fact, Fact::Message(written) if written.id == message && written.seen.is_none())
                        })
                    {
                        return Violation::fail("seen", format!("d{at}: {message} does not say what its author had seen"));
                    }
                    if let ActOutcome::Written(message) = outcome
                        && !device.keeps(message)
                    {
                        return Violation::fail(
                            "written",
                            format!("d{at} says that {message} is durable, and it is not"),
                        );
                    }
                    if outcome == ActOutcome::StoreFailed {
                        return Violation::fail("device", format!("d{at} says that its store failed"));
                    }
                }
            }
        }
        Ok(())
    }

    /// A device that says so has everything that was durable when it began to connect.
    fn check_caught_up(&self, at: usize) -> Result<(), Violation> {
        let (returns, epoch, head) = self.devices[at].log_then;
        let cursor = self.devices[at].core.as_ref().and_then(|core| core.meta().cursor).unwrap_or_default();
        if returns == self.checker.returns && cursor.epoch == epoch && cursor.lsn < head {
            let text = format!("d{at} says that it has caught up at {:?}, the log ended at {head:?}", cursor.lsn);
            return Violation::fail("caught-up", text);
        }
        Ok(())
    }

    fn start_persist(&mut self, at: usize) {
        let delay_us = self.rng.skewed(100, self.scenario.faults.sync_us_max);
        let run = self.devices[at].run;
        self.after(delay_us, Event::DevicePersisted { device: at, run });
    }

    pub(super) fn device_persisted(&mut self, at: usize, run: u64) -> Result<(), Violation> {
        if run != self.devices[at].run {
            return Ok(());
        }
        let count = 1 + self.rng.index(self.devices[at].written.len());
        let mut newest = None;
        for _ in 0..count.min(self.devices[at].written.len()) {
            newest = self.make_durable(at)?;
        }
        if let Some(ticket) = newest {
            self.device_input(at, Input::Persisted { ticket })?;
        }
        if self.devices[at].written.is_empty() {
            self.devices[at].syncing = false;
        } else {
            self.start_persist(at);
        }
        Ok(())
    }

    fn make_durable(&mut self, at: usize) -> Result<Option<lockstep_client_core::effect::Ticket>, Violation> {
        let device = &mut self.devices[at];
        let Some(transaction) = device.written.pop_front() else { return Ok(None) };
        let before = device.rows.meta.cursor;
        for write in transaction.writes {
            device.rows.write(write);
        }
        if device.rows.meta.cursor != before {
            let (member, rows) = (device.member, &device.rows);
            self.checker.check_cursor(at, member, before, rows)?;
        }
        Ok(Some(transaction.ticket))
    }

    pub(super) fn device_loaded(&mut self, at: usize, run: u64, query: Query) -> Result<(), Violation> {
        if run != self.devices[at].run {
            return Ok(());
        }
        let fails = !self.calm && self.rng.chance(self.scenario.faults.load_failures);
        let outcome =
            if fails { Err(lockstep_client_core::query::LoadFailure) } else { Ok(self.devices[at].rows.load(&query)) };
        self.device_input(at, Input::Loaded { query, outcome })
    }

    pub(super) fn device_applied(
        &mut self,
        at: usize,
        run: u64,
        job: JobId,
        document: DocumentId,
        outcome: AppliedDocument,
    ) -> Result<(), Violation> {
        if run == self.devices[at].run {
            self.device_input(at, Input::Applied { job, document, outcome: Ok(outcome) })
        } else {
            Ok(())
        }
    }

    /// What the device's guarded worker does.
    fn device_works(&mut self, at: usize, apply: Apply) -> Result<(JobId, DocumentId, AppliedDocument), Violation> {
        let worker = self.scenario.worker;
        let device = &mut self.devices[at];
        let (job, document, facts, wanted) = match apply {
            Apply::Parse { job, document, bytes } => (job, document, worker.facts(document.kind, &bytes), None),
            Apply::Build { job, document, facts, heads } => {
                let facts = plain(facts);
                device.live.insert(document, facts.clone());
                (job, document, Some(facts), Some(heads))
            }
            Apply::Extend { job, document, facts, heads } => {
                let live = device.live.entry(document).or_default();
                live.extend(plain(facts));
                (job, document, Some(live.clone()), Some(heads))
            }
            Apply::Drop { document } => return Violation::fail("harness", format!("nothing to do for {document:?}")),
        };
        let Some(facts) = facts else {
            return Violation::fail("live-document", format!("d{at}: {document:?} does not parse"));
        };
        let heads = match worker::heads(document.kind, &facts) {
            Some(heads) if wanted.as_ref().is_none_or(|wanted| *wanted == heads) => heads,
            heads => {
                return Violation::fail(
                    "live-document",
                    format!("d{at}: {document:?} has heads {heads:?}, not {wanted:?}"),
                );
            }
        };
        let facts = if wanted.is_some() { Vec::new() } else { facts };
        let facts = facts.into_iter().map(|document::ChainFact { actor, seq, fact }| ChainFact { actor, seq, fact });
        Ok((job, document, AppliedDocument { facts: facts.collect(), heads }))
    }

    pub(super) fn device_crash(&mut self, at: usize, down_ms: u64) -> Result<(), Violation> {
        if self.devices[at].core.is_none() {
            return Ok(());
        }
        let kept = self.rng.index(self.devices[at].written.len() + 1);
        self.say(|| format!("d{at} crashes, {kept} transactions survive"));
        for _ in 0..kept {
            self.make_durable(at)?;
        }
        self.break_link(at);
        let device = &mut self.devices[at];
        device.written.clear();
        device.syncing = false;
        device.core = None;
        device.run += 1;
        device.tick_us = 0;
        device.screen = Screen::default();
        device.live.clear();
        device.open_requests = 0;
        if let Some((_, session)) = device.connection.take() {
            self.device_end_closed(session);
        }
        self.after(down_ms * MS, Event::DeviceBoot { device: at });
        Ok(())
    }

    pub(super) fn device_restore(&mut self, at: usize) -> Result<(), Violation> {
        if self.devices[at].backup.is_none() || self.devices[at].core.is_none() {
            return Ok(());
        }
        self.device_crash(at, 200)?;
        let device = &mut self.devices[at];
        device.rows = device.backup.clone().expect("just looked at");
        device.restored = true;
        Ok(())
    }
}

fn plain(facts: Vec<ChainFact>) -> Vec<document::ChainFact> {
    facts.into_iter().map(|ChainFact { actor, seq, fact }| document::ChainFact { actor, seq, fact }).collect()
}
