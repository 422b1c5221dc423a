//! One seed's world: virtual time, the event queue, and everything that happens in it.
//!
//! There is one true time. The hub's and each device's wall clock is true time plus a skew that may jump; their
//! monotonic clocks are exact. Nothing here depends on anything but the scenario: no threads, no unordered maps.

mod acts;
mod device;
mod hub;
mod import;
mod network;
mod quiescence;

use std::collections::BTreeMap;

use lockstep_client_core::effect::JobId;
use lockstep_client_core::input::{AppliedDocument, ConnectionId};
use lockstep_client_core::planted::ClientBug;
use lockstep_core::effect::{Apply, Scan};
use lockstep_core::hub::Hub;
use lockstep_core::input::SessionId;
use lockstep_core::planted::{HubBug, Planted};
use lockstep_core::query::{Answer, LoadFailure, Query};
use lockstep_protocol::directory::{Conversation, Member, Role};
use lockstep_protocol::entry::HubKey;
use lockstep_protocol::frame::{Command, Outcome};
use lockstep_protocol::id::{ConversationId, DocumentId, HubId, InviteCode, MemberId, PinnedKeyHash};

use crate::checker::{Checker, Violation};
use crate::link::Link;
use crate::model::LogModel;
use crate::rng::Rng;
use crate::scenario::{Scenario, What};
use crate::store::{Disk, Identity, Store};

use self::device::SimDevice;

/// Wall time of true time 0: milliseconds since 1970.
const WALL_MS: u64 = 1_900_000_000_000;
const MS: u64 = 1_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Most effects that one input may have: bounded work.
const EFFECTS_MAX: usize = 20_000;
/// Most events of one seed; beyond, something runs in circles.
const EVENTS_MAX: u64 = 3_000_000;

/// A planted bug in one of the cores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// In the hub.
    Hub(HubBug),
    /// In every device.
    Client(ClientBug),
}

/// Something that will happen.
#[derive(Debug)]
enum Event {
    Step(usize),
    HubBoot,
    HubTick { run: u64 },
    Synced { run: u64 },
    LoadRead { run: u64, query: Query },
    LoadDone { run: u64, query: Query, outcome: Result<Answer, LoadFailure> },
    ApplyDone { run: u64, apply: Apply },
    ScanDone { run: u64, scan: Scan },
    ShredDone { run: u64, conversation: ConversationId },
    HubStop { run: u64, down_ms: u64 },
    ImportBuilt { run: u64, request: u64, segment: Box<lockstep_core::input::ImportSegment> },
    Up { session: SessionId },
    Down { session: SessionId },
    Left { session: SessionId, bytes: usize },
    HubAccepts { session: SessionId },
    HubLearns { session: SessionId },
    DeviceLearns { session: SessionId },
    DeviceBoot { device: usize },
    DeviceTick { device: usize, run: u64 },
    DevicePersisted { device: usize, run: u64 },
    DeviceLoaded { device: usize, run: u64, query: lockstep_client_core::query::Query },
    DeviceApplied { device: usize, run: u64, job: JobId, document: DocumentId, outcome: Box<AppliedDocument> },
    DeviceConnected { device: usize, run: u64, connection: ConnectionId },
    DeviceRefused { device: usize, run: u64, connection: ConnectionId },
    DeviceOnline { device: usize },
}

/// The hub's process and disk.
#[derive(Debug)]
struct HubProcess {
    core: Option<Hub>,
    /// Counts starts: what belongs to an earlier one is ignored.
    run: u64,
    started_us: u64,
    skew_ms: i64,
    store: Store,
    identity: Identity,
    backup: Option<(Disk, LogModel, Vec<lockstep_core::effect::OutsideEvent>)>,
    tick_us: u64,
    draining: bool,
    booting: bool,
    /// A restore whose new epoch may not be durable yet.
    restore_open: bool,
}

/// What a seed amounted to.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Summary {
    /// Virtual time, milliseconds.
    pub virtual_ms: u64,
    /// Events handled.
    pub events: u64,
    /// Entries in the log at the end.
    pub entries: u64,
    /// Accepted replies at the end.
    pub accepted: u64,
    /// Replies that lost.
    pub collided: u64,
    /// Epochs.
    pub epochs: u64,
    /// Facts re-admitted.
    pub readmitted: u64,
}

/// A world.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    bug: Option<Bug>,
    rng: Rng,
    now_us: u64,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    events: u64,
    hub: HubProcess,
    checker: Checker,
    devices: Vec<SimDevice>,
    links: BTreeMap<SessionId, Link>,
    next_session: u64,
    answers: BTreeMap<u64, Outcome>,
    next_request: u64,
    conversations: Vec<ConversationId>,
    imports: import::Imports,
    /// True time at which the steps begin.
    base_us: u64,
    /// Days that passed in a moment, milliseconds.
    leap_ms: u64,
    /// What devices held when the hub's disk last went back: it must come back.
    held: Vec<quiescence::Held>,
    calm: bool,
    trace: bool,
}

impl World {
    /// A world for a scenario.
    #[must_use]
    pub fn new(scenario: Scenario, bug: Option<Bug>, trace: bool) -> Self {
        let mut rng = Rng::new(scenario.seed, 2);
        let identity = Identity {
            hub: HubId(rng.bytes()),
            key: HubKey::new(&rng.bytes()),
            pinned: PinnedKeyHash(rng.bytes()),
            config: scenario.config,
            planted: match bug {
                Some(Bug::Hub(bug)) => Planted::with(bug),
                // A device that takes ranges over a hole does harm only where a hub leaves one.
                Some(Bug::Client(ClientBug::EntriesOverHole)) => Planted::with(HubBug::EntryLostWithoutCredit),
                _ => Planted::default(),
            },
        };
        let late_ops_max = scenario.config.segment.late_edit_ops;
        let mut checker = Checker::new(identity.key.clone(), identity.hub, late_ops_max);
        checker.worker = scenario.worker;
        let hub = HubProcess {
            core: None,
            run: 0,
            started_us: 0,
            skew_ms: 0,
            store: Store::default(),
            identity,
            backup: None,
            tick_us: 0,
            draining: false,
            booting: false,
            restore_open: false,
        };
        Self {
            bug,
            rng,
            now_us: 1_000 * MS,
            queue: BTreeMap::new(),
            sequence: 0,
            events: 0,
            hub,
            checker,
            devices: Vec::new(),
            links: BTreeMap::new(),
            next_session: 0,
            answers: BTreeMap::new(),
            next_request: 0,
            conversations: Vec::new(),
            imports: import::Imports::default(),
            base_us: 0,
            leap_ms: 0,
            held: Vec::new(),
            calm: true,
            trace,
            scenario,
        }
    }

    /// Runs the seed to its end.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn run(&mut self) -> Result<Summary, Violation> {
        self.set_up()?;
        self.calm = false;
        self.base_us = self.now_us;
        for at in 0..self.scenario.steps.len() {
            self.at(self.base_us + self.scenario.steps[at].at_ms * MS, Event::Step(at));
        }
        self.run_until(self.base_us + self.scenario.duration_ms * MS)?;
        self.calm = true;
        self.quiesce()?;
        Ok(self.summary())
    }

    /// True time so far, milliseconds.
    #[must_use]
    pub fn virtual_ms(&self) -> u64 {
        self.now_us / MS
    }

    fn summary(&self) -> Summary {
        let model = &self.checker.model;
        let facts = model.entries.iter().filter_map(|recorded| match &recorded.entry.body {
            lockstep_protocol::entry::EntryBody::Fact(placed) => Some((placed, recorded.entry.stamp.verdict)),
            _ => None,
        });
        let lost = |verdict| verdict != lockstep_protocol::entry::Verdict::Accepted;
        Summary {
            virtual_ms: self.virtual_ms(),
            events: self.events,
            entries: model.head().0,
            accepted: model.accepted.values().map(|accepted| accepted.len() as u64).sum(),
            collided: facts.clone().filter(|(_, verdict)| lost(*verdict)).count() as u64,
            epochs: model.epochs.len() as u64,
            readmitted: facts.filter(|(placed, _)| placed.origin.is_some()).count() as u64,
        }
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>12.3} {}", self.now_us as f64 / 1_000.0, what());
        }
    }

    fn at(&mut self, at_us: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at_us.max(self.now_us), self.sequence), event);
    }

    fn after(&mut self, delay_us: u64, event: Event) {
        self.at(self.now_us + delay_us, event);
    }

    fn run_until(&mut self, until_us: u64) -> Result<(), Violation> {
        while let Some(first) = self.queue.first_entry() {
            if first.key().0 > until_us {
                break;
            }
            let ((at_us, _), event) = first.remove_entry();
            self.now_us = at_us;
            self.events += 1;
            if self.events > EVENTS_MAX {
                return Violation::fail("bounded", "the world runs in circles");
            }
            self.happen(event)?;
        }
        self.now_us = self.now_us.max(until_us);
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Step(step) => self.step(step),
            Event::HubBoot => self.hub_boot(),
            Event::HubTick { run } => self.hub_tick(run),
            Event::Synced { run } => self.hub_synced(run),
            Event::LoadRead { run, query } => self.hub_read(run, query),
            Event::LoadDone { run, query, outcome } => self.hub_loaded(run, query, outcome),
            Event::ApplyDone { run, apply } => self.hub_applied(run, &apply),
            Event::ScanDone { run, scan } => self.hub_scanned(run, &scan),
            Event::ShredDone { run, conversation } => self.hub_shredded(run, conversation),
            Event::HubStop { run, down_ms } => self.hub_stop(run, down_ms),
            Event::ImportBuilt { run, request, segment } => self.import_built(run, request, segment),
            Event::Up { session } => self.up(session),
            Event::Down { session } => self.down(session),
            Event::Left { session, bytes } => self.left(session, bytes),
            Event::HubAccepts { session } => self.hub_accepts(session),
            Event::HubLearns { session } => self.hub_learns(session),
            Event::DeviceLearns { session } => self.device_learns(session),
            Event::DeviceBoot { device } => self.device_boot(device),
            Event::DeviceTick { device, run } => self.device_tick(device, run),
            Event::DevicePersisted { device, run } => self.device_persisted(device, run),
            Event::DeviceLoaded { device, run, query } => self.device_loaded(device, run, query),
            Event::DeviceApplied { device, run, job, document, outcome } => {
                self.device_applied(device, run, job, document, *outcome)
            }
            Event::DeviceConnected { device, run, connection } => self.device_connected(device, run, connection),
            Event::DeviceRefused { device, run, connection } => self.device_refused(device, run, connection),
            Event::DeviceOnline { device } => self.device_online(device),
        }
    }

    fn step(&mut self, at: usize) -> Result<(), Violation> {
        let what = self.scenario.steps[at].what;
        self.say(|| format!("step {at} {what:?}"));
        match what {
            What::Act { device, act, pick } => self.act(device, act, pick),
            What::Lose { device, loss, pick } => self.lose(device, loss, pick),
            What::Attack { device, pick } => self.attack(device, pick),
            What::HubCrash { down_ms } => self.hub_crash(down_ms),
            What::HubDrain { down_ms } => self.hub_drain(down_ms),
            What::HubBackup => {
                self.hub_backup();
                Ok(())
            }
            What::HubRestore => self.hub_back(true),
            What::HubRollback => self.hub_back(false),
            What::Import { pick } => self.import(pick),
            What::ImportUndo { pick } => self.undo_import(pick),
            What::Keep { keep, pick } => self.set_keep(keep, pick),
            What::Leap { days } => {
                self.leap_ms += days * DAY_MS;
                Ok(())
            }
            What::Shred { pick } => self.shred(pick),
            What::HubJump { skew_ms } => {
                self.hub.skew_ms = skew_ms;
                Ok(())
            }
            What::DeviceCrash { device, down_ms } => self.device_crash(device, down_ms),
            What::DeviceOffline { device, for_ms } => self.device_offline(device, for_ms),
            What::DeviceBackup { device } => {
                self.devices[device].backup = Some(self.devices[device].rows.clone());
                Ok(())
            }
            What::DeviceRestore { device } => self.device_restore(device),
            What::DeviceJump { device, skew_ms } => {
                self.devices[device].skew_ms = skew_ms;
                Ok(())
            }
            What::Break { device } => {
                self.break_link(device);
                Ok(())
            }
            What::Stall { device, down, for_ms } => {
                let until_us = self.now_us + for_ms * MS;
                self.link_of(device, |link| link.stall(down, until_us));
                Ok(())
            }
            What::Slow { device, factor } => {
                self.link_of(device, |link| link.slowness = factor);
                Ok(())
            }
        }
    }

    fn link_of(&mut self, device: usize, change: impl FnOnce(&mut Link)) {
        let session = self.devices[device].session();
        if let Some(link) = session.and_then(|session| self.links.get_mut(&session)) {
            change(link);
        }
    }

    /// Starts the hub, makes the team, and enrols everyone.
    fn set_up(&mut self) -> Result<(), Violation> {
        self.happen(Event::HubBoot)?;
        for (at, role) in self.scenario.members.clone().into_iter().enumerate() {
            let member = Member { id: MemberId(at as u32 + 1), name: format!("member {at}"), role };
            self.administer(Command::MemberAdd(member))?;
        }
        self.administer(Command::PolicySet(self.scenario.policy))?;
        let service = self.scenario.members.iter().position(|role| *role == Role::Service);
        for spec in self.scenario.conversations.clone() {
            let conversation = Conversation {
                id: ConversationId(self.rng.bytes()),
                customer: "customer".into(),
                service: service.filter(|_| spec.service).map(|at| MemberId(at as u32 + 1)),
                assigned: spec.assigned.iter().map(|at| MemberId(*at as u32 + 1)).collect(),
                keep: None,
            };
            self.conversations.push(conversation.id);
            self.administer(Command::ConversationOpen(conversation))?;
        }
        for spec in self.scenario.devices.clone() {
            let member = MemberId(spec.member as u32 + 1);
            let code = match self.administer(Command::Invite { member })? {
                Outcome::Invited { code, .. } => code,
                other => return Violation::fail("set-up", format!("no invitation: {other:?}")),
            };
            self.new_device(spec, member, code)?;
        }
        for _ in 0..60 {
            if self.devices.iter().all(SimDevice::is_enrolled) {
                return Ok(());
            }
            self.run_until(self.now_us + 500 * MS)?;
        }
        let missing: Vec<usize> = (0..self.devices.len()).filter(|at| !self.devices[*at].is_enrolled()).collect();
        Violation::fail("set-up", format!("devices {missing:?} were not enrolled"))
    }

    fn new_device(
        &mut self,
        spec: crate::scenario::DeviceSpec,
        member: MemberId,
        code: InviteCode,
    ) -> Result<(), Violation> {
        let at = self.devices.len();
        let device = SimDevice::new(member, spec.hostile, code, self.rng.bytes());
        self.checker.keys.insert(device.id, device.key.public());
        self.devices.push(device);
        self.happen(Event::DeviceBoot { device: at })
    }

    /// A command from the hub's own machine; runs the world until it is answered.
    fn administer(&mut self, command: Command) -> Result<Outcome, Violation> {
        let request = self.next_request;
        self.next_request += 1;
        let entropy = self.rng.bytes();
        self.hub_input(lockstep_core::input::Input::Administered { request, command: command.clone(), entropy })?;
        for _ in 0..2_000 {
            if let Some(outcome) = self.answers.remove(&request) {
                self.say(|| format!("administered {command:?} → {outcome:?}"));
                return match outcome {
                    Outcome::Refused(refusal) => Violation::fail("set-up", format!("{command:?}: {refusal:?}")),
                    outcome => Ok(outcome),
                };
            }
            self.run_until(self.now_us + 10 * MS)?;
        }
        Violation::fail("set-up", format!("{command:?} is not answered"))
    }
}
