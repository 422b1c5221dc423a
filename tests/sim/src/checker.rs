//! The checkers: what must hold while a seed runs and after it.

mod audit;
mod bounds;
mod import;
mod keep;
pub mod lock;
pub mod log;
pub mod loss;
pub mod replica;
pub mod screen;
mod sensitive;
pub mod visibility;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lockstep_core::audit::AuditHead;
use lockstep_core::effect::{Batch, Ticket};
use lockstep_core::row::Write;
use lockstep_protocol::entry::{Entry, HubKey};
use lockstep_protocol::frame::{DeviceFrame, HubFrame, Resolve};
use lockstep_protocol::id::{ConversationId, DeviceId, DocumentId, Epoch, HubId, Lsn, MemberId, MessageId, PublicKey};

use self::bounds::Bounds;
use self::lock::{AgainstLease, Leases};
use self::loss::Acknowledged;
use crate::model::LogModel;
use crate::worker::Worker;

/// An invariant that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which checker says so.
    pub checker: &'static str,
    /// What it saw.
    pub what: String,
}

impl Violation {
    /// A violation as a result.
    ///
    /// # Errors
    /// Always.
    pub fn fail<T>(checker: &'static str, what: impl Into<String>) -> Result<T, Self> {
        Err(Self { checker, what: what.into() })
    }
}

/// A batch on its way to the disk.
#[derive(Debug)]
struct Pending {
    ticket: Ticket,
    true_ms: u64,
    wall_ms: u64,
    /// Replies in it that were accepted while another member was told to hold the lease.
    against_leases: Vec<AgainstLease>,
}

/// Everything that the checkers know while a seed runs.
#[derive(Debug)]
pub struct Checker {
    key: HubKey,
    hub: HubId,
    /// The log as it is durable.
    pub model: LogModel,
    /// Documents that had expired when an older disk brought them back.
    pub expired_once: BTreeSet<DocumentId>,
    /// Every entry that was ever durable, also of branches that a restore cut off.
    pub archive: BTreeMap<(Epoch, Lsn), Vec<Entry>>,
    pending: VecDeque<Pending>,
    /// Keys of every device that was made.
    pub keys: BTreeMap<DeviceId, PublicKey>,
    leases: Leases,
    /// What `seen` was shown for each resolution asked for.
    resolves: BTreeMap<MessageId, Vec<Option<MessageId>>>,
    /// What devices were told stands.
    pub acknowledged: Acknowledged,
    /// Sizes seen.
    pub bounds: Bounds,
    /// The hub replays losses after a restore, and lets nobody in.
    pub replaying: bool,
    /// Which run of the hub this is.
    pub run: u64,
    /// True time at which it started, milliseconds.
    pub started_ms: u64,
    /// What its wall clock said then, milliseconds since 1970.
    pub started_wall_ms: u64,
    /// How often the hub's disk went back.
    pub returns: u64,
    /// Limits of documents in this seed.
    pub late_ops_max: u32,
    /// What documents are made of.
    pub worker: Worker,
    /// Where the audit log ends, as it is durable.
    pub audit: AuditHead,
}

impl Checker {
    /// At the start of a seed.
    #[must_use]
    pub fn new(key: HubKey, hub: HubId, late_ops_max: u32) -> Self {
        Self {
            key,
            hub,
            model: LogModel::default(),
            expired_once: BTreeSet::new(),
            archive: BTreeMap::new(),
            pending: VecDeque::new(),
            keys: BTreeMap::new(),
            leases: Leases::default(),
            resolves: BTreeMap::new(),
            acknowledged: Acknowledged::default(),
            bounds: Bounds::default(),
            replaying: false,
            run: 0,
            started_ms: 0,
            started_wall_ms: 0,
            returns: 0,
            late_ops_max,
            worker: Worker::Facts,
            audit: AuditHead::default(),
        }
    }

    /// The hub asked for a batch to be committed.
    pub fn sequenced(&mut self, true_ms: u64, wall_ms: u64, batch: &Batch) {
        let entries = batch.entries.iter().filter_map(|logged| Entry::from_bytes(&logged.bytes));
        let against_leases = entries.filter_map(|entry| self.leases.against(true_ms, &entry)).collect();
        self.pending.push_back(Pending { ticket: batch.ticket, true_ms, wall_ms, against_leases });
    }

    /// A batch is durable.
    ///
    /// # Errors
    /// Whatever an entry of it breaks.
    pub fn durable(&mut self, batch: &Batch) -> Result<(), Violation> {
        let Some(at) = self.pending.iter().position(|pending| pending.ticket == batch.ticket) else {
            return Violation::fail("harness", format!("{:?} was never asked for", batch.ticket));
        };
        let Pending { true_ms, wall_ms, against_leases, .. } =
            self.pending.drain(..=at).next_back().expect("just found");
        // An epoch row stands behind the entries of its batch, but begins where it says.
        let epochs = batch.writes.iter().filter_map(|write| match write {
            Write::Epoch { epoch, after } => Some((*epoch, *after)),
            _ => None,
        });
        self.model.epochs.extend(epochs);
        if self.returns == 0 && self.model.epochs.len() > 1 {
            return Violation::fail("epoch", "a new epoch began though the disk never went back");
        }
        for logged in &batch.entries {
            against_leases
                .iter()
                .filter(|against| against.lsn == logged.lsn)
                .try_for_each(|against| against.check(&self.model))?;
            self.entry(logged, true_ms, wall_ms)?;
            self.check_import(logged, &batch.writes, wall_ms)?;
        }
        self.check_sensitive(batch)?;
        self.check_audit(batch)
    }

    /// The hub's process ended; what was not durable is gone.
    pub fn hub_stopped(&mut self) {
        self.pending.clear();
        self.leases = Leases::default();
    }

    /// The disk now holds an older state.
    pub fn disk_replaced(&mut self, model: LogModel, audit: AuditHead) {
        self.returns += 1;
        self.audit = audit;
        self.acknowledged.forget_after(model.head());
        self.expired_once.extend(self.model.gone.keys());
        self.model = model;
    }

    /// A device's frame reaches the hub.
    pub fn heard(&mut self, frame: &DeviceFrame) {
        if let DeviceFrame::Resolve(Resolve { message, seen, .. }) = frame {
            self.resolves.entry(*message).or_default().push(*seen);
        }
    }

    /// The hub sends a frame.
    ///
    /// # Errors
    /// What is not durable, or what the member may not see.
    pub fn sent(
        &mut self,
        true_ms: u64,
        device: DeviceId,
        member: MemberId,
        frame: &HubFrame,
    ) -> Result<(), Violation> {
        if let HubFrame::Welcome(welcome) = frame
            && (welcome.member != member || !self.model.directory().devices.contains_key(&device))
        {
            return Violation::fail("welcome", format!("{device:?} of {member:?} is welcomed as {:?}", welcome.member));
        }
        if let HubFrame::Lease { conversation, holder, for_ms } = frame {
            self.leases.told(*conversation, *holder, true_ms + u64::from(*for_ms));
        }
        self.check_durable(frame)?;
        self.check_known(device, frame)?;
        self.check_not_gone(frame)?;
        self.check_visible(member, frame)
    }

    /// Whether the member may see the conversation now.
    #[must_use]
    pub fn sees(&self, member: MemberId, conversation: ConversationId) -> bool {
        self.model.directory().sees(member, conversation)
    }
}
