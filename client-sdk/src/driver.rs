//! The task that owns the device's core: tells it what happened, carries out what it wants, and waits for its timers.

mod views;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lockstep_client_core::device::{Boot, Device, DeviceConfig};
use lockstep_client_core::effect::{ActOutcome, Apply, Effect, Notice, Ticket};
use lockstep_client_core::input::{Act, Input, Now};
use lockstep_client_core::planted::Planted;
use lockstep_client_core::row::Stored;
use lockstep_protocol::auth::DeviceKey;
use lockstep_protocol::id::ConversationId;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Duration, Instant, sleep_until, timeout};
use tracing::{debug, info, trace, warn};

use crate::connection::{self, ConnectTrouble, HubAddress, Link, Wire};
use crate::error::Error;
use crate::event::Event;
use crate::mailbox::Inlet;
use crate::status::Mirror;
use crate::store::{Store, thread};
use crate::view::{Shown, ViewEvent};
use crate::worker;
use views::Views;

/// Requests of handles that may wait for the driver; then handles wait.
pub(crate) const REQUESTS_MAX: usize = 64;
/// Frames that may wait for the driver; then the socket is not read.
const FRAMES_MAX: usize = 8;
/// Rows that may wait for the disk before the driver takes nothing new in: some 4 MiB of usual messages.
const UNDURABLE_ROWS_MAX: usize = 8_192;
/// Jobs that may wait for the worker before the driver takes nothing new in.
const JOBS_MAX: usize = 64;
/// How long closing waits for the disk.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a handle asks of the driver.
#[derive(Debug)]
pub(crate) enum Request {
    /// Do something.
    Act(Act, oneshot::Sender<ActOutcome>),
    /// Open a view.
    Open(ConversationId, oneshot::Sender<Result<(Shown, Inlet<ViewEvent>), Error>>),
    /// Whether an open view could show more.
    HasOlder(ConversationId, oneshot::Sender<bool>),
    /// A view of this conversation was dropped.
    Closed(ConversationId),
}

/// Who waits for the answer to an act.
#[derive(Debug)]
enum Waiting {
    Handle(oneshot::Sender<ActOutcome>),
    View(ConversationId),
    Nobody,
}

/// What the driver starts from.
pub(crate) struct Start {
    pub(crate) store: Arc<Store>,
    pub(crate) key: DeviceKey,
    pub(crate) hub: HubAddress,
    pub(crate) stored: Stored,
    pub(crate) seed: [u8; 32],
    pub(crate) config: DeviceConfig,
    pub(crate) mirror: Mirror,
    pub(crate) events: broadcast::Sender<Event>,
}

/// The ends that the driver listens at.
struct Ears {
    requests: mpsc::Receiver<Request>,
    stop: oneshot::Receiver<()>,
    stored: mpsc::UnboundedReceiver<thread::Done>,
    worked: mpsc::UnboundedReceiver<worker::Done>,
    wire: mpsc::Receiver<Wire>,
}

struct Driver {
    core: Device,
    started: Instant,
    hub: HubAddress,
    mirror: Mirror,
    events: broadcast::Sender<Event>,
    views: Views,

    store: mpsc::UnboundedSender<thread::Task>,
    newest: Ticket,
    persisted: Ticket,
    /// Transactions that wait for the disk, with their rows.
    undurable: VecDeque<(Ticket, usize)>,
    worker: mpsc::UnboundedSender<Apply>,
    jobs: usize,

    wire: mpsc::Sender<Wire>,
    link: Option<Link>,
    connections: JoinSet<()>,

    asked: BTreeMap<u64, Waiting>,
    next_request: u64,
    inputs: VecDeque<Input>,
    answers: Vec<(oneshot::Sender<ActOutcome>, ActOutcome)>,
}

/// Starts the driver's task. It ends when `stop`'s other end is dropped, after the disk has everything.
pub(crate) fn start(start: Start, requests: mpsc::Receiver<Request>, stop: oneshot::Receiver<()>) -> JoinHandle<()> {
    let Start { store, key, hub, stored, seed, config, mirror, events } = start;
    let (store_tasks, tasks) = mpsc::unbounded_channel();
    let (done, stored_done) = mpsc::unbounded_channel();
    let store_thread = spawn_blocking(move || thread::run(&store, tasks, &done));
    let (worker_jobs, jobs) = mpsc::unbounded_channel();
    let (done, worked) = mpsc::unbounded_channel();
    let worker_thread = spawn_blocking(move || worker::run(jobs, &done));
    let (wire, wired) = mpsc::channel(FRAMES_MAX);

    let started = Instant::now();
    let mut effects = Vec::new();
    let boot = Boot { key, pinned: hub.pinned, stored, seed, config, planted: Planted::default() };
    let core = Device::new(boot, now(started), &mut effects);
    let driver = Driver {
        core,
        started,
        hub,
        mirror,
        events,
        views: Views::default(),
        store: store_tasks,
        newest: Ticket(0),
        persisted: Ticket(0),
        undurable: VecDeque::new(),
        worker: worker_jobs,
        jobs: 0,
        wire,
        link: None,
        connections: JoinSet::new(),
        asked: BTreeMap::new(),
        next_request: 0,
        inputs: VecDeque::new(),
        answers: Vec::new(),
    };
    let ears = Ears { requests, stop, stored: stored_done, worked, wire: wired };
    tokio::spawn(async move {
        driver.run(ears, effects).await;
        for ended in [store_thread.await, worker_thread.await] {
            if let Err(error) = ended {
                warn!(%error, "a thread of the device ended badly");
            }
        }
    })
}

fn now(started: Instant) -> Now {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    // A clock before 1970 is as wrong as one in 1970: the hub's time corrects both.
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { wall_ms: millis(wall), mono_ms: millis(started.elapsed()) }
}

impl Driver {
    /// Runs until it is to stop, then until the disk has everything.
    async fn run(mut self, mut ears: Ears, effects: Vec<Effect>) {
        effects.into_iter().for_each(|effect| self.carry_out(effect));
        self.settle();
        loop {
            let wake = self.core.next_wake().map(|at_ms| self.started + Duration::from_millis(at_ms));
            let undurable: usize = self.undurable.iter().map(|(_, rows)| rows).sum();
            let room = undurable <= UNDURABLE_ROWS_MAX && self.jobs <= JOBS_MAX;
            tokio::select! {
                _ = &mut ears.stop => break,
                Some(done) = ears.stored.recv() => self.store_did(done),
                Some(done) = ears.worked.recv() => self.worker_did(done),
                Some(wire) = ears.wire.recv(), if room => self.heard(wire),
                Some(request) = ears.requests.recv(), if room => self.asked(request),
                Some(ended) = self.connections.join_next() => {
                    if let Err(error) = ended {
                        warn!(%error, "a connection's task ended badly");
                    }
                }
                () = until(wake) => self.inputs.push_back(Input::Ticked),
            }
            self.settle();
        }
        self.end(ears).await;
    }

    /// Lets the disk finish what was handed to it, so that acts are answered truly, and connections close.
    async fn end(mut self, mut ears: Ears) {
        self.link = None;
        ears.wire.close();
        let rest = async {
            while self.persisted < self.newest {
                let Some(done) = ears.stored.recv().await else { break };
                self.store_did(done);
                self.settle();
                self.link = None;
            }
        };
        if timeout(CLOSE_TIMEOUT, rest).await.is_err() {
            warn!("the disk did not take everything in time; what was not acknowledged may be lost");
        }
        connection::end(&mut self.connections).await;
    }

    /// Tells the core everything that waits, and the handles what came of it.
    fn settle(&mut self) {
        let mut effects = Vec::new();
        while let Some(input) = self.inputs.pop_front() {
            self.core.handle(now(self.started), input, &mut effects);
            effects.drain(..).for_each(|effect| self.carry_out(effect));
        }
        let status = &mut self.mirror.status;
        status.online = self.core.online();
        status.caught_up &= status.online;
        status.synced = status.caught_up && self.core.idle();
        status.update_needed = self.core.update_needed();
        self.mirror.publish();
        // Last, so that whoever is answered finds the status that goes with it.
        for (reply, outcome) in self.answers.drain(..) {
            if reply.send(outcome).is_err() {
                debug!("nobody waits for an act's outcome any more");
            }
        }
    }

    fn act(&mut self, act: Act, waiting: Waiting) {
        self.next_request += 1;
        self.asked.insert(self.next_request, waiting);
        self.inputs.push_back(Input::Acted { request: self.next_request, act });
    }

    fn asked(&mut self, request: Request) {
        match request {
            Request::Act(act, reply) => self.act(act, Waiting::Handle(reply)),
            Request::Open(conversation, reply) => {
                if self.views.wanted(conversation, reply) {
                    self.act(Act::Open { conversation }, Waiting::View(conversation));
                }
            }
            // Whoever asked may have gone.
            Request::HasOlder(conversation, reply) => drop(reply.send(self.core.has_older(conversation)).ok()),
            Request::Closed(conversation) => {
                if self.views.unwanted(conversation) {
                    self.act(Act::Close { conversation }, Waiting::Nobody);
                }
            }
        }
    }

    fn store_did(&mut self, done: thread::Done) {
        let input = match done {
            thread::Done::Persisted(ticket) => {
                self.persisted = ticket;
                while self.undurable.front().is_some_and(|(waiting, _)| *waiting <= ticket) {
                    self.undurable.pop_front();
                }
                Input::Persisted { ticket }
            }
            thread::Done::Loaded(query, outcome) => Input::Loaded { query, outcome },
            thread::Done::Failed(error) => {
                self.persisted = self.newest;
                self.undurable.clear();
                self.mirror.status.store_failed = true;
                self.tell(Event::StoreFailed(error.to_string()));
                Input::PersistFailed
            }
        };
        self.inputs.push_back(input);
    }

    fn worker_did(&mut self, (job, document, outcome): worker::Done) {
        self.jobs -= 1;
        self.inputs.push_back(Input::Applied { job, document, outcome });
    }

    fn heard(&mut self, wire: Wire) {
        let input = match wire {
            Wire::Connected(connection) => Input::Connected { connection },
            Wire::Frame(connection, frame) => Input::FrameReceived { connection, frame },
            Wire::Gone(connection, trouble) => {
                if self.link.take_if(|link| link.connection == connection).is_some()
                    && let Some(trouble) = trouble
                {
                    self.trouble(trouble);
                }
                Input::Disconnected { connection }
            }
        };
        self.inputs.push_back(input);
    }

    fn trouble(&mut self, trouble: ConnectTrouble) {
        info!(%trouble, "no connection to the hub");
        self.mirror.status.trouble = Some(trouble.clone());
        self.tell(Event::Trouble(trouble));
    }

    fn tell(&self, event: Event) {
        if self.events.send(event).is_err() {
            trace!("nobody listens to the device's events");
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { connection } => {
                let (hub, wire) = (self.hub.clone(), self.wire.clone());
                self.link = Some(connection::begin(connection, hub, wire, &mut self.connections));
            }
            Effect::Disconnect { connection } => {
                self.link.take_if(|link| link.connection == connection);
            }
            Effect::Send { connection, bytes } => {
                let Some(link) = self.link.as_ref().filter(|link| link.connection == connection) else { return };
                if link.outgoing.try_send(bytes).is_err() {
                    self.link = None;
                    self.trouble(ConnectTrouble::Broken { reason: "the hub does not read".to_owned() });
                    self.inputs.push_back(Input::Disconnected { connection });
                }
            }
            Effect::Persist(transaction) => {
                transaction.writes.iter().for_each(|write| self.mirror.note(write));
                self.newest = transaction.ticket;
                self.undurable.push_back((transaction.ticket, transaction.writes.len()));
                self.to_store(thread::Task::Persist(transaction));
            }
            Effect::Load(query) => self.to_store(thread::Task::Load(query)),
            Effect::Apply(apply) => {
                self.jobs += usize::from(!matches!(apply, Apply::Drop { .. }));
                if self.worker.send(apply).is_err() {
                    warn!("the worker is gone");
                }
            }
            Effect::View(event) => {
                if let Some(conversation) = self.views.changed(event) {
                    self.act(Act::Close { conversation }, Waiting::Nobody);
                }
            }
            Effect::Notice(notice) => self.notice(notice),
            Effect::ActDone { request, outcome } => match self.asked.remove(&request) {
                Some(Waiting::Handle(reply)) => self.answers.push((reply, outcome)),
                Some(Waiting::View(conversation)) => self.views.opened(conversation, outcome),
                Some(Waiting::Nobody) | None => {}
            },
        }
    }

    fn to_store(&self, task: thread::Task) {
        if self.store.send(task).is_err() {
            // Its thread ends early only after a failed write, which the core has been or is being told.
            debug!("the store has stopped");
        }
    }

    fn notice(&mut self, notice: Notice) {
        let status = &mut self.mirror.status;
        match &notice {
            Notice::Online { member, role } => {
                (status.member, status.role) = (Some(*member), Some(*role));
                (status.stopped, status.trouble, status.wrong_hub) = (None, None, false);
            }
            Notice::Offline => status.caught_up = false,
            Notice::CaughtUp => status.caught_up = true,
            Notice::RoleChanged(role) => status.role = Some(*role),
            Notice::Stopped(code) => status.stopped = Some(*code),
            Notice::WrongHub => status.wrong_hub = true,
            _ => {}
        }
        self.tell(Event::Notice(notice));
    }
}

/// Sleeps until then; for ever without a time.
async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
