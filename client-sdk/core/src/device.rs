//! The device: everything that decides, as one state machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lockstep_protocol::auth::DeviceKey;
use lockstep_protocol::clock::Clock;
use lockstep_protocol::frame::{Tag, Team};
use lockstep_protocol::id::{ConversationId, DeviceId, DocumentId, Epoch, Lsn, PinnedKeyHash, PublicKey};

use crate::backfill::FetchState;
use crate::backoff::Pauses;
use crate::effect::{ActOutcome, Effect, JobId, Notice, Ticket};
use crate::input::{Input, Now, Request};
use crate::job::Job;
use crate::lease::Leases;
use crate::offer::Offers;
use crate::outbox::Outbox;
use crate::planted::Planted;
use crate::push::Question;
use crate::random::Random;
use crate::replica::Replica;
use crate::row::{BackfillRow, ConversationRow, DocumentRow, Meta, NotSentRow, ResolveRow, Stored};
use crate::screen::Screen;
use crate::session::Session;
use crate::transaction::Pending;

/// Sizes that a host may choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceConfig {
    /// Documents kept in memory when no view shows them and nothing is in flight for them.
    pub documents_max: usize,
    /// Facts of such documents kept in memory.
    pub facts_max: usize,
    /// Frames and acts that may wait for rows to be loaded; a frame beyond drops the connection, an act is `Busy`.
    pub waiting_max: usize,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        // As many facts as so many open segments usually hold; a fact takes about 1 KiB.
        Self { documents_max: 64, facts_max: 16_384, waiting_max: 256 }
    }
}

/// What a device starts from.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Its secret key.
    pub key: DeviceKey,
    /// SHA-256 of the hub's certificate public key, from the QR code.
    pub pinned: PinnedKeyHash,
    /// What its store holds.
    pub stored: Stored,
    /// 32 fresh random bytes, new at each start: nonces and ids are derived from them.
    pub seed: [u8; 32],
    /// Choices.
    pub config: DeviceConfig,
    /// A planted bug, for the simulator.
    pub planted: Planted,
}

/// A document in memory.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) replica: Replica,
    /// The newest transaction that wrote to it: it stays in memory until that is durable.
    pub(crate) ticket: Ticket,
    /// When it was last used, in a count of uses.
    pub(crate) used: u64,
}

/// The device's state machine. See the crate's text for the whole loop.
#[derive(Debug)]
pub struct Device {
    pub(crate) key: DeviceKey,
    pub(crate) public: PublicKey,
    pub(crate) id: DeviceId,
    pub(crate) pinned: PinnedKeyHash,
    pub(crate) config: DeviceConfig,
    pub(crate) planted: Planted,
    pub(crate) random: Random,
    pub(crate) clock: Clock,
    pub(crate) now: Now,

    pub(crate) meta: Meta,
    pub(crate) team: Option<Team>,
    pub(crate) conversations: BTreeMap<ConversationId, ConversationRow>,
    pub(crate) documents: BTreeMap<DocumentId, DocumentRow>,
    pub(crate) replicas: BTreeMap<DocumentId, Loaded>,
    pub(crate) outbox: Outbox,
    pub(crate) resolves: BTreeMap<u64, (ResolveRow, Ticket)>,
    pub(crate) offers: Offers,
    pub(crate) backfills: BTreeMap<ConversationId, BackfillRow>,
    pub(crate) not_sent: BTreeMap<u64, NotSentRow>,
    /// Conversations that may have a read position to be sent.
    pub(crate) marks: BTreeSet<ConversationId>,

    pub(crate) pending: Pending,
    pub(crate) next_ticket: Ticket,
    pub(crate) persisted: Ticket,
    pub(crate) done: VecDeque<(Ticket, Request, ActOutcome)>,
    pub(crate) failed: bool,

    pub(crate) jobs: VecDeque<Job>,
    /// Documents of conversations that the hub of the new epoch does not list: done when no job waits.
    pub(crate) lost: VecDeque<DocumentId>,
    pub(crate) loading: Option<DocumentId>,
    pub(crate) load_again_ms: Option<u64>,
    pub(crate) uses: u64,

    pub(crate) session: Session,
    pub(crate) next_tag: Tag,
    pub(crate) next_job: JobId,
    pub(crate) questions: BTreeMap<Tag, Question>,
    pub(crate) fetches: BTreeMap<Tag, FetchState>,
    /// Imported segments that somebody wants to see and that are not held.
    pub(crate) wanted: BTreeSet<DocumentId>,
    /// How often a fetched document could not be read.
    pub(crate) unreadable: BTreeMap<DocumentId, u32>,
    /// How often a document's rows could not be read.
    pub(crate) unloadable: BTreeMap<DocumentId, u32>,
    pub(crate) pauses: Pauses,
    /// Conversations with facts of an abandoned chain, to be written again once the epoch change is settled.
    pub(crate) stale: BTreeSet<ConversationId>,
    /// Conversations whose offers the hub of this session does not take.
    pub(crate) unofferable: BTreeSet<ConversationId>,
    /// This device and the hub derive different changes.
    pub(crate) differs: bool,

    pub(crate) screen: Screen,
    pub(crate) leases: Leases,
    pub(crate) out: Vec<Effect>,
}

impl Device {
    /// Starts a device. An enrolled one connects at once; another waits for [`Act::Enrol`](crate::input::Act::Enrol).
    #[must_use]
    pub fn new(boot: Boot, now: Now, effects: &mut Vec<Effect>) -> Self {
        let stored = boot.stored;
        let public = boot.key.public();
        let mut device = Self {
            public,
            id: DeviceId::of(&public),
            key: boot.key,
            pinned: boot.pinned,
            config: boot.config,
            planted: boot.planted,
            random: Random::new(&boot.seed),
            clock: Clock::resume(stored.meta.clock_ms),
            now,
            meta: stored.meta,
            team: stored.team,
            conversations: stored.conversations.into_iter().map(|row| (row.conversation.id, row)).collect(),
            documents: stored.documents.into_iter().map(|row| (row.document, row)).collect(),
            replicas: BTreeMap::new(),
            outbox: Outbox::default(),
            resolves: stored.resolves.into_iter().map(|row| (row.order, (row, Ticket(0)))).collect(),
            offers: Offers::default(),
            backfills: stored.backfills.into_iter().map(|row| (row.conversation, row)).collect(),
            not_sent: stored.not_sent.into_iter().map(|row| (row.order, row)).collect(),
            marks: BTreeSet::new(),
            pending: Pending::default(),
            next_ticket: Ticket(1),
            persisted: Ticket(0),
            done: VecDeque::new(),
            failed: false,
            jobs: VecDeque::new(),
            lost: VecDeque::new(),
            loading: None,
            load_again_ms: None,
            uses: 0,
            session: Session::new(now),
            next_tag: 1,
            next_job: JobId(1),
            questions: BTreeMap::new(),
            fetches: BTreeMap::new(),
            wanted: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            unloadable: BTreeMap::new(),
            pauses: Pauses::default(),
            stale: BTreeSet::new(),
            unofferable: BTreeSet::new(),
            differs: false,
            screen: Screen::default(),
            leases: Leases::default(),
            out: Vec::new(),
        };
        for row in stored.outbox {
            device.outbox.insert(row, Ticket(0));
        }
        stored.offers.into_iter().for_each(|row| device.offers.insert(row));
        device.note_stale();
        let marks = device.conversations.values().filter(|row| row.unsent_mark.is_some());
        device.marks = marks.map(|row| row.conversation.id).collect();
        let lost = device.conversations.values().filter(|row| row.lost).map(|row| row.conversation.id);
        for conversation in lost.collect::<Vec<_>>() {
            device.queue_lost(conversation);
        }
        device.turn();
        effects.append(&mut device.out);
        device
    }

    /// Handles one input; what is to be done is appended to `effects`, in order.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        self.now = now;
        if self.failed {
            if let Input::Acted { request, .. } = input {
                effects.push(Effect::ActDone { request, outcome: ActOutcome::StoreFailed });
            }
            return;
        }
        match input {
            Input::Connected { connection } => self.connected(connection),
            Input::Disconnected { connection } => self.disconnected(connection),
            Input::FrameReceived { connection, frame } => self.frame_received(connection, frame),
            Input::Persisted { ticket } => self.persisted = self.persisted.max(ticket),
            Input::PersistFailed => self.persist_failed(),
            Input::Loaded { query, outcome } => self.loaded(query, outcome),
            Input::Applied { job, document, outcome } => self.applied(job, document, outcome),
            Input::Acted { request, act } => self.acted(request, act),
            Input::Ticked => {}
        }
        if !self.failed {
            self.turn();
        }
        effects.append(&mut self.out);
    }

    /// Does whatever can be done now.
    fn turn(&mut self) {
        self.tick_session();
        self.tick_leases();
        self.run_jobs();
        self.settle();
        self.reach_back();
        self.commit();
        if self.session.broken {
            self.drop_connection(None);
        }
        self.send_all();
        self.commit();
        self.paint();
        self.tick_live();
        self.finish_acts();
        self.evict();
    }

    fn persist_failed(&mut self) {
        self.failed = true;
        self.drop_connection(None);
        let waiting = self.done.drain(..).map(|(_, request, _)| request);
        let queued = self.jobs.drain(..).filter_map(|job| match job {
            Job::Act(request, _) => Some(request),
            _ => None,
        });
        for request in waiting.chain(queued) {
            self.out.push(Effect::ActDone { request, outcome: ActOutcome::StoreFailed });
        }
    }

    fn finish_acts(&mut self) {
        while self.done.front().is_some_and(|(ticket, ..)| *ticket <= self.persisted) {
            if let Some((_, request, outcome)) = self.done.pop_front() {
                self.out.push(Effect::ActDone { request, outcome });
            }
        }
    }

    /// The monotonic time, milliseconds, at which it wants [`Input::Ticked`]; none when it waits for nothing.
    #[must_use]
    pub fn next_wake(&self) -> Option<u64> {
        if self.failed {
            return None;
        }
        let pauses = if self.ready() { self.pauses.next_ms(self.now.mono_ms) } else { None };
        let live = self.screen.next_ms();
        [self.session.next_ms(), self.leases.next_ms(), self.load_again_ms, pauses, live].into_iter().flatten().min()
    }

    /// Its own state, as far as it got (durable or about to be).
    #[must_use]
    pub const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Whether the hub let it in on the present connection.
    #[must_use]
    pub const fn online(&self) -> bool {
        self.session.online()
    }

    /// Whether nothing is outstanding: online, no job, no fact or resolution to be confirmed, no backfill, no offer
    /// that the hub may still take, every transaction durable.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.ready()
            && self.jobs.is_empty()
            && self.lost.is_empty()
            && self.outbox.len() == 0
            && self.resolves.is_empty()
            && self.backfills.is_empty()
            && !self.has_offers()
            && self.persisted.0 + 1 == self.next_ticket.0
    }

    /// What could not be sent, oldest first.
    pub fn not_sent(&self) -> impl Iterator<Item = &NotSentRow> {
        self.not_sent.values()
    }

    /// The conversations that it shows, in order of id.
    pub fn conversations(&self) -> impl Iterator<Item = &ConversationRow> {
        self.conversations.values().filter(|row| !row.lost)
    }

    /// The team, once known.
    #[must_use]
    pub const fn team(&self) -> Option<&Team> {
        self.team.as_ref()
    }

    /// Whether it stopped sending because it derives other changes than the hub.
    #[must_use]
    pub const fn update_needed(&self) -> bool {
        self.differs
    }

    /// Documents in memory, for watching bounds.
    #[must_use]
    pub fn documents_loaded(&self) -> usize {
        self.replicas.len()
    }

    /// The present session's epoch; of the last one while offline.
    pub(crate) fn epoch(&self) -> Epoch {
        self.meta.epochs.last().copied().unwrap_or_default()
    }

    /// Rank of an epoch among those met, from 1; 0 for older ones.
    pub(crate) fn generation(&self, epoch: &Epoch) -> u32 {
        let at = self.meta.epochs.iter().position(|known| known == epoch);
        at.map_or(0, |at| u32::try_from(at + 1).expect("a device meets fewer than 2^32 epochs"))
    }

    /// Where its cursor stands, if it is of the present epoch.
    pub(crate) fn cursor_lsn(&self) -> Option<Lsn> {
        self.meta.cursor.filter(|cursor| cursor.epoch == self.epoch()).map(|cursor| cursor.lsn)
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        self.out.push(Effect::Notice(notice));
    }

    pub(crate) fn tag(&mut self) -> Tag {
        self.next_tag += 1;
        self.next_tag - 1
    }

    pub(crate) fn job(&mut self) -> JobId {
        self.next_job.0 += 1;
        JobId(self.next_job.0 - 1)
    }
}
