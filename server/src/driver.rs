//! The hub's task: owns the core, tells it what happened, carries out what it wants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use lockstep_core::audit::Deed;
use lockstep_core::effect::{CloseReason, Effect, ImportPlan, Report, Ticket};
use lockstep_core::hub::{Boot, Hub};
use lockstep_core::input::{ImportSegment, Input, SessionId};
use lockstep_core::scan::ScanRow;
use lockstep_core::sensitive::Words;
use lockstep_protocol::fact::KeyId;
use lockstep_protocol::frame::{Command, Outcome};
use lockstep_protocol::id::{ConversationId, DeviceId, Epoch, ImportId, Lsn};
use lockstep_protocol::refusal::Refusal;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::commit::Committer;
use crate::connection::queue::{SendQueue, Sender};
use crate::entropy;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::worker::Workers;

/// Frames from all connections that may wait for the hub; beyond, connections wait before they read on.
const FRAMES_MAX: usize = 1_024;
/// Batches that may wait for the disk; beyond, the hub takes no more frames until a sync has caught up.
const UNSYNCED_BATCHES_MAX: u64 = 8_192;
/// Inputs taken in one go before effects are looked at by others.
const BURST_MAX: usize = 64;

/// A connection as its own task holds it.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its number.
    pub(crate) id: SessionId,
    /// What its writer is to do, in order.
    pub(crate) queue: Arc<SendQueue>,
}

/// What an import begins with, or why not.
type Planned = Result<ImportPlan, Box<Refusal>>;

#[derive(Debug)]
enum Event {
    Input(Input),
    Connected(SessionId, Sender),
    Administered(Box<Command>, oneshot::Sender<Outcome>),
    ImportAsked(ConversationId, Vec<KeyId>, oneshot::Sender<Planned>),
    ImportBuilt(Box<ImportSegment>, oneshot::Sender<Outcome>),
    ImportUndone(ConversationId, ImportId, oneshot::Sender<Outcome>),
    WordsChanged(Bytes, Arc<dyn Words>, (u32, u32), oneshot::Sender<Outcome>),
    Shred(ConversationId, oneshot::Sender<Outcome>),
    /// Who is connected.
    Present(oneshot::Sender<BTreeSet<DeviceId>>),
    Acted(Deed, oneshot::Sender<Outcome>),
    Look(oneshot::Sender<Condition>),
}

/// What the hub says of itself, for `status` and readiness.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// The newest durable LSN.
    pub head: Lsn,
    /// The epoch of the log.
    pub epoch: Epoch,
    /// Conversations whose state is in memory.
    pub conversations_in_memory: usize,
    /// Whether devices are let in.
    pub ready: bool,
    /// How far the look for sensitive words in everything stored got.
    pub scan: ScanRow,
}

/// The way to the hub for what must never wait: answers of its own threads.
#[derive(Clone, Debug)]
pub(crate) struct Inbox(mpsc::UnboundedSender<Event>);

impl Inbox {
    pub(crate) fn tell(&self, input: Input) {
        // The hub's task ends last but for its own threads: what comes after has no reader, and needs none.
        if self.0.send(Event::Input(input)).is_err() {
            tracing::debug!("the hub has ended");
        }
    }
}

/// The way to the hub for connections and administration. The hub ends when it is told to, not when handles are gone.
#[derive(Clone, Debug)]
pub struct HubHandle {
    inbox: mpsc::UnboundedSender<Event>,
    frames: mpsc::Sender<Event>,
    next_session: Arc<AtomicU64>,
    ready: Arc<AtomicBool>,
}

/// The hub has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the hub is stopping")]
pub struct Stopping;

impl HubHandle {
    /// A connection was accepted; what waits for it is counted in the gauge.
    ///
    /// # Errors
    /// If the hub has ended.
    pub(crate) fn connect(&self, queued: Gauge) -> Result<Session, Stopping> {
        let id = SessionId(self.next_session.fetch_add(1, Ordering::Relaxed));
        let queue = SendQueue::new(queued);
        self.inbox.send(Event::Connected(id, Sender::new(&queue))).map_err(|_| Stopping)?;
        Ok(Session { id, queue })
    }

    /// A frame of a connection. Waits while the hub or its disk is behind: that is the back-pressure on peers.
    ///
    /// # Errors
    /// If the hub has ended.
    pub async fn frame(&self, input: Input) -> Result<(), Stopping> {
        self.frames.send(Event::Input(input)).await.map_err(|_| Stopping)
    }

    pub(crate) fn tell(&self, input: Input) {
        Inbox(self.inbox.clone()).tell(input);
    }

    /// Does a command of the hub's own machine and waits until it is durable.
    ///
    /// # Errors
    /// If the hub has ended.
    pub async fn administer(&self, command: Command) -> Result<Outcome, Stopping> {
        let (answer, outcome) = oneshot::channel();
        self.inbox.send(Event::Administered(Box::new(command), answer)).map_err(|_| Stopping)?;
        outcome.await.map_err(|_| Stopping)
    }

    /// Asks what a conversation knows of an import's keys.
    ///
    /// # Errors
    /// If the hub has ended.
    pub async fn import_asked(&self, conversation: ConversationId, keys: Vec<KeyId>) -> Result<Planned, Stopping> {
        let (answer, planned) = oneshot::channel();
        self.inbox.send(Event::ImportAsked(conversation, keys, answer)).map_err(|_| Stopping)?;
        planned.await.map_err(|_| Stopping)
    }

    /// Hands over a built segment and waits until it is durable, or refused.
    ///
    /// # Errors
    /// If the hub has ended.
    pub async fn import_built(&self, segment: ImportSegment) -> Result<Outcome, Stopping> {
        let (answer, outcome) = oneshot::channel();
        self.inbox.send(Event::ImportBuilt(Box::new(segment), answer)).map_err(|_| Stopping)?;
        outcome.await.map_err(|_| Stopping)
    }

    /// Takes one import's segments back out of a conversation.
    ///
    /// # Errors
    /// If the hub has ended.
    pub async fn import_undone(&self, conversation: ConversationId, import: ImportId) -> Result<Outcome, Stopping> {
        let (answer, outcome) = oneshot::channel();
        self.inbox.send(Event::ImportUndone(conversation, import, answer)).map_err(|_| Stopping)?;
        outcome.await.map_err(|_| Stopping)
    }

    /// Destroys a conversation, and waits until its keys are gone.
    ///
    /// # Errors
    /// If the hub has ended.
    pub async fn shred(&self, conversation: ConversationId) -> Result<Outcome, Stopping> {
        let (answer, outcome) = oneshot::channel();
        self.inbox.send(Event::Shred(conversation, answer)).map_err(|_| Stopping)?;
        outcome.await.map_err(|_| Stopping)
    }

    /// The devices that are connected.
    ///
    /// # Errors
    /// If the hub has ended.
    pub async fn present(&self) -> Result<BTreeSet<DeviceId>, Stopping> {
        let (answer, present) = oneshot::channel();
        self.inbox.send(Event::Present(answer)).map_err(|_| Stopping)?;
        present.await.map_err(|_| Stopping)
    }

    /// Changes the team's list of sensitive words, by so many entries added and removed, and waits until it is durable.
    ///
    /// # Errors
    /// If the hub has ended.
    pub async fn words_changed(
        &self,
        list: Bytes,
        words: Arc<dyn Words>,
        difference: (u32, u32),
    ) -> Result<Outcome, Stopping> {
        let (answer, outcome) = oneshot::channel();
        self.inbox.send(Event::WordsChanged(list, words, difference, answer)).map_err(|_| Stopping)?;
        outcome.await.map_err(|_| Stopping)
    }

    /// Writes into the audit log what was done, or is about to be, on the hub's machine; waits until that is durable.
    ///
    /// # Errors
    /// If the hub has ended.
    pub async fn acted(&self, deed: Deed) -> Result<Outcome, Stopping> {
        let (answer, outcome) = oneshot::channel();
        self.inbox.send(Event::Acted(deed, answer)).map_err(|_| Stopping)?;
        outcome.await.map_err(|_| Stopping)
    }

    /// Asks the hub for its condition.
    ///
    /// # Errors
    /// If the hub has ended.
    pub async fn condition(&self) -> Result<Condition, Stopping> {
        let (answer, condition) = oneshot::channel();
        self.inbox.send(Event::Look(answer)).map_err(|_| Stopping)?;
        condition.await.map_err(|_| Stopping)
    }

    /// Whether devices are let in, without asking the hub's task.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// No more work is taken; the hub ends when what is in flight is durable.
    pub fn drain(&self) {
        self.tell(Input::DrainRequested);
    }
}

/// How the hub ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// Everything in flight is durable.
    Drained,
    /// The log cannot be written: nothing was acknowledged since.
    CommitFailed,
}

#[derive(Debug)]
struct Queues {
    inbox: mpsc::UnboundedReceiver<Event>,
    frames: mpsc::Receiver<Event>,
    handle: HubHandle,
}

impl Default for Queues {
    fn default() -> Self {
        let (inbox, inbox_queue) = mpsc::unbounded_channel();
        let (frames, frames_queue) = mpsc::channel(FRAMES_MAX);
        let (next_session, ready) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
        let handle = HubHandle { inbox, frames, next_session, ready };
        Self { inbox: inbox_queue, frames: frames_queue, handle }
    }
}

/// The hub's task: one owner of the core.
pub(crate) struct Driver {
    hub: Hub,
    queues: Queues,
    clock: Clock,
    committer: Committer,
    workers: Workers,
    metrics: Arc<Metrics>,
    sessions: BTreeMap<SessionId, Sender>,
    answers: BTreeMap<u64, oneshot::Sender<Outcome>>,
    plans: BTreeMap<u64, oneshot::Sender<Planned>>,
    next_request: u64,
    newest: Ticket,
    synced: Ticket,
    grace: Duration,
    /// When a draining hub stops waiting.
    deadline: Option<tokio::time::Instant>,
    ended: Option<Ended>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

impl Driver {
    /// Starts a core on what the store holds, and its threads.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(
        boot: Boot,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        grace: Duration,
    ) -> std::io::Result<Self> {
        let (queues, clock) = (Queues::default(), Clock::start());
        let inbox = Inbox(queues.handle.inbox.clone());
        let committer = Committer::start(Arc::clone(&store), inbox.clone(), Arc::clone(&metrics))?;
        let workers = Workers::start(&store, &inbox)?;
        let mut effects = Vec::new();
        let hub = Hub::new(boot, clock.now(), &mut effects);
        let mut driver = Self {
            hub,
            queues,
            clock,
            committer,
            workers,
            metrics,
            sessions: BTreeMap::new(),
            answers: BTreeMap::new(),
            plans: BTreeMap::new(),
            next_request: 0,
            newest: Ticket(0),
            synced: Ticket(0),
            grace,
            deadline: None,
            ended: None,
        };
        driver.carry_out(&mut effects);
        Ok(driver)
    }

    /// The way to the hub.
    #[must_use]
    pub(crate) fn handle(&self) -> HubHandle {
        self.queues.handle.clone()
    }

    /// Runs until the hub is drained or its log fails, then ends its threads.
    ///
    /// # Errors
    /// Why the log failed.
    pub(crate) async fn run(mut self) -> Result<(), crate::store::StoreError> {
        let mut effects = Vec::new();
        while self.ended.is_none() {
            let is_behind = self.newest.0 - self.synced.0 > UNSYNCED_BATCHES_MAX;
            let wake = self.hub.next_wake().map(|mono_ms| tokio::time::Instant::from_std(self.clock.instant(mono_ms)));
            let event = tokio::select! {
                biased;
                event = self.queues.inbox.recv() => event,
                event = self.queues.frames.recv(), if !is_behind => event,
                () = tokio::time::sleep_until(self.deadline.unwrap_or_else(tokio::time::Instant::now)),
                    if self.deadline.is_some() =>
                {
                    tracing::warn!("not everything in flight was finished in the grace time; it was not acknowledged");
                    break;
                }
                () = tokio::time::sleep_until(wake.unwrap_or_else(tokio::time::Instant::now)), if wake.is_some() => {
                    Some(Event::Input(Input::Ticked))
                }
            };
            // The handle in `queues` keeps both open.
            let Some(event) = event else { break };
            self.take(event, &mut effects);
            for _ in 0..BURST_MAX {
                let next = self.queues.inbox.try_recv().or_else(|error| match is_behind {
                    true => Err(error),
                    false => self.queues.frames.try_recv(),
                });
                let Ok(event) = next else { break };
                self.take(event, &mut effects);
            }
            let ready = self.hub.is_ready();
            self.queues.handle.ready.store(ready, Ordering::Relaxed);
            self.metrics.hub_state(&self.hub);
        }
        self.queues.handle.ready.store(false, Ordering::Relaxed);
        // Sessions first: whoever waits for their queues sees them end. Then the threads, after what they hold.
        self.sessions.clear();
        self.workers.finish();
        self.committer.finish().map_or(Ok(()), Err)
    }

    fn take(&mut self, event: Event, effects: &mut Vec<Effect>) {
        let now = self.clock.now();
        let input = match event {
            Event::Input(input) => input,
            Event::Connected(session, sender) => {
                self.sessions.insert(session, sender);
                Input::Connected { session, entropy: entropy::fresh() }
            }
            Event::Administered(command, answer) => {
                let request = self.asked(answer);
                Input::Administered { request, command: *command, entropy: entropy::fresh() }
            }
            Event::ImportAsked(conversation, keys, answer) => {
                self.next_request += 1;
                self.plans.insert(self.next_request, answer);
                Input::ImportAsked { request: self.next_request, conversation, keys }
            }
            Event::ImportBuilt(segment, answer) => Input::ImportBuilt { request: self.asked(answer), segment },
            Event::ImportUndone(conversation, import, answer) => {
                Input::UndoAsked { request: self.asked(answer), conversation, import }
            }
            Event::WordsChanged(list, words, (added, removed), answer) => {
                Input::WordsChanged { request: self.asked(answer), list, words, added, removed }
            }
            Event::Shred(conversation, answer) => Input::ShredAsked { request: self.asked(answer), conversation },
            Event::Present(answer) => {
                if answer.send(self.hub.devices_connected()).is_err() {
                    tracing::debug!("whoever asked who is connected has gone");
                }
                return;
            }
            Event::Acted(deed, answer) => Input::Acted { request: self.asked(answer), deed },
            Event::Look(answer) => {
                let condition = Condition {
                    head: self.hub.committed(),
                    epoch: self.hub.epoch(),
                    conversations_in_memory: self.hub.conversations_in_memory(),
                    ready: self.hub.is_ready(),
                    scan: self.hub.scan(),
                };
                if answer.send(condition).is_err() {
                    tracing::debug!("whoever asked for the hub's condition has gone");
                }
                return;
            }
        };
        match &input {
            Input::Committed { ticket } => self.synced = *ticket,
            Input::Applied { outcome: Ok(_), .. } => self.metrics.compacted(),
            Input::Disconnected { session } => drop(self.sessions.remove(session)),
            Input::DrainRequested => self.deadline = Some(tokio::time::Instant::now() + self.grace),
            _ => {}
        }
        self.hub.handle(now, input, effects);
        self.carry_out(effects);
    }

    fn asked(&mut self, answer: oneshot::Sender<Outcome>) -> u64 {
        self.next_request += 1;
        self.answers.insert(self.next_request, answer);
        self.next_request
    }

    fn carry_out(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Send { session, bytes } => {
                    self.metrics.frame_sent(bytes.len());
                    // A writer that is gone has said `Disconnected`, or is about to.
                    if let Some(sender) = self.sessions.get(&session) {
                        sender.send(bytes);
                    }
                }
                Effect::Close { session, reason } => {
                    self.metrics.closed(reason_label(reason));
                    tracing::info!(session = session.0, ?reason, "connection closed by the hub");
                    if let Some(sender) = self.sessions.get(&session) {
                        sender.close(reason);
                    }
                }
                Effect::Commit(batch) => {
                    self.newest = batch.ticket;
                    self.committer.commit(batch);
                }
                Effect::Load(query) => self.workers.load(query),
                Effect::Apply(apply) => self.workers.apply(apply),
                Effect::Scan(scan) => self.workers.scan(scan),
                Effect::Shred(conversation) => self.workers.shred(conversation),
                Effect::Answer { request, outcome } => {
                    if let Some(answer) = self.answers.remove(&request) {
                        drop(answer.send(outcome));
                    }
                }
                Effect::ImportPlanned { request, outcome } => {
                    if let Some(answer) = self.plans.remove(&request) {
                        drop(answer.send(outcome));
                    }
                }
                Effect::Report(report) => self.report(report),
                Effect::Drained => self.ended = Some(Ended::Drained),
                Effect::Stop => self.ended = Some(Ended::CommitFailed),
            }
        }
    }

    fn report(&self, report: Report) {
        self.metrics.reported(match report {
            Report::RollbackFound { .. } => "rollback_found",
            Report::Rebuilding(_) => "rebuilding",
            Report::CompactionFailed(_) => "compaction_failed",
            Report::Unreadable(_) => "unreadable",
            Report::ClockAhead { .. } => "clock_ahead",
        });
        match report {
            Report::RollbackFound { lsn } => tracing::warn!(
                lsn = lsn.0,
                "a device holds entries that this store has lost: the disk is a copy or was rolled back; a new epoch \
                 begins and devices bring back what they hold"
            ),
            Report::Rebuilding(document) => {
                tracing::warn!(?document, "a document's snapshot is damaged; it is rebuilt from its facts");
            }
            Report::ClockAhead { by_ms, hold_ms } => tracing::warn!(
                days = Duration::from_millis(by_ms).as_secs() / (24 * 60 * 60),
                hours = Duration::from_millis(hold_ms).as_secs() / (60 * 60),
                "the clock is days ahead of the newest entry, or went ahead by so much at once: no keep time ends for \
                 hours, so that a wrong clock can be set right"
            ),
            Report::CompactionFailed(document) => {
                tracing::error!(?document, "a document could not be compacted; its entries are kept");
            }
            Report::Unreadable(conversation) => {
                tracing::error!(?conversation, "rows of a conversation could not be read; run `lockstep doctor`");
            }
        }
    }
}

const fn reason_label(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Refused(_) => "refused",
        CloseReason::TooSlow => "too_slow",
        CloseReason::NewEpoch => "new_epoch",
    }
}
