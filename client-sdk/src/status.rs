//! How the device stands, and what it knows beside messages: kept up to date from what the core makes durable.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockstep_client_core::row::{ConversationRow, NotSentRow, Stored, Write};
use lockstep_protocol::directory::{Policy, Role};
use lockstep_protocol::frame::{Marker, Team};
use lockstep_protocol::id::{ConversationId, Lsn, MemberId};
use lockstep_protocol::keep::Keep;
use lockstep_protocol::refusal::RefusalCode;
use tokio::sync::watch;

use crate::connection::ConnectTrouble;

/// How the device stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Status {
    /// Whose device it is.
    pub member: Option<MemberId>,
    /// Their role, once known.
    pub role: Option<Role>,
    /// The hub let it in on the present connection.
    pub online: bool,
    /// It holds everything that it may see.
    pub caught_up: bool,
    /// Online, caught up, and nothing of this device waits for the hub.
    pub synced: bool,
    /// Facts and decisions of this device that the hub has not confirmed.
    pub outbox: usize,
    /// Items that can never be sent; see [`Device::not_sent`](crate::Device::not_sent).
    pub not_sent: usize,
    /// The hub does not let it in; nothing is tried before [`Device::connect`](crate::Device::connect).
    pub stopped: Option<RefusalCode>,
    /// It derives other changes than the hub: it sends nothing before it is updated.
    pub update_needed: bool,
    /// The hub is another one than it was enrolled with.
    pub wrong_hub: bool,
    /// Its store cannot be written: it has stopped.
    pub store_failed: bool,
    /// Why the newest connection failed; none while one stands.
    pub trouble: Option<ConnectTrouble>,
}

/// A conversation in the list.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// The customer's shown name.
    pub customer: String,
    /// The service account of its channel, if one carries it.
    pub service: Option<MemberId>,
    /// The members assigned to it, in ascending order.
    pub assigned: Vec<MemberId>,
    /// Its newest entry.
    pub newest: Lsn,
    /// Read positions, in ascending order of member.
    pub markers: Vec<Marker>,
    /// How long its messages are kept; none for as long as the team's policy says.
    pub keep: Option<Keep>,
}

/// Conversations, newest first.
pub type ConversationList = Arc<[Arc<Conversation>]>;

/// Who is on the team.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TeamView {
    /// Members, in ascending order of id; those whose role is `Former` have left, and are here for what they wrote.
    pub members: Vec<lockstep_protocol::directory::Member>,
    /// The team's choices.
    pub policy: Policy,
    /// This device's member's role.
    pub role: Role,
}

/// The list of conversations: put together when somebody reads it, since every message changes it.
#[derive(Debug, Default)]
struct Listing {
    newest: BTreeMap<ConversationId, Lsn>,
    ordered: BTreeMap<(Reverse<Lsn>, ConversationId), Arc<Conversation>>,
    /// As it was read last; none if it has changed since.
    read: Option<ConversationList>,
}

impl Listing {
    fn put(&mut self, conversation: Conversation) {
        self.newest.insert(conversation.id, conversation.newest);
        self.ordered.insert((Reverse(conversation.newest), conversation.id), Arc::new(conversation));
    }

    /// False if it was not there.
    fn take(&mut self, id: ConversationId) -> bool {
        self.read = None;
        let newest = self.newest.remove(&id);
        newest.is_some_and(|newest| self.ordered.remove(&(Reverse(newest), id)).is_some())
    }

    fn read(&mut self) -> ConversationList {
        self.read.get_or_insert_with(|| self.ordered.values().cloned().collect()).clone()
    }
}

/// A handle's end of the list of conversations.
#[derive(Clone, Debug)]
pub(crate) struct WatchedList {
    listing: Arc<Mutex<Listing>>,
    changed: watch::Receiver<()>,
}

impl WatchedList {
    /// The list now; later changes are told by [`WatchedList::changed`].
    pub(crate) fn current(&mut self) -> ConversationList {
        let mut listing = locked(&self.listing);
        self.changed.mark_unchanged();
        listing.read()
    }

    /// The list now.
    pub(crate) fn read(&self) -> ConversationList {
        locked(&self.listing).read()
    }

    /// Waits until the list differs from [`WatchedList::current`]. None when the device is closed.
    pub(crate) async fn changed(&mut self) -> Option<()> {
        self.changed.changed().await.ok()
    }
}

fn locked(listing: &Mutex<Listing>) -> MutexGuard<'_, Listing> {
    // Nothing in here panics half-way.
    listing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What handles read.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) conversations: WatchedList,
    pub(crate) team: watch::Receiver<Option<Arc<TeamView>>>,
    pub(crate) not_sent: watch::Receiver<Arc<[NotSentRow]>>,
}

/// The driver's end: rows as the core wrote them, and what of them changed since they were last shown.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) status: Status,
    conversations: Arc<Mutex<Listing>>,
    /// Conversations that are not shown as they are yet; none for one that is gone.
    changes: BTreeMap<ConversationId, Option<Conversation>>,
    not_sent: BTreeMap<u64, NotSentRow>,
    outbox: BTreeSet<u64>,
    resolves: BTreeSet<u64>,
    not_sent_changed: bool,
    told_status: watch::Sender<Status>,
    told_conversations: watch::Sender<()>,
    told_team: watch::Sender<Option<Arc<TeamView>>>,
    told_not_sent: watch::Sender<Arc<[NotSentRow]>>,
}

impl Mirror {
    pub(crate) fn new(stored: &Stored) -> (Self, Watched) {
        let (told_status, status) = watch::channel(Status::default());
        let (told_conversations, changed) = watch::channel(());
        let listing = Arc::<Mutex<Listing>>::default();
        let shown = stored.conversations.iter().filter(|row| !row.lost);
        shown.for_each(|row| locked(&listing).put(summary(row)));
        // Who waits for a change before having read gets the first list.
        told_conversations.send_replace(());
        let (told_team, team) = watch::channel(stored.team.as_ref().map(|team| Arc::new(team_view(team))));
        let (told_not_sent, not_sent) = watch::channel(Arc::default());
        let mut mirror = Self {
            status: Status {
                member: stored.meta.member,
                role: stored.team.as_ref().map(|team| team.role),
                ..Status::default()
            },
            conversations: listing.clone(),
            changes: BTreeMap::new(),
            not_sent: stored.not_sent.iter().map(|row| (row.order, row.clone())).collect(),
            outbox: stored.outbox.iter().map(|row| row.order).collect(),
            resolves: stored.resolves.iter().map(|row| row.order).collect(),
            not_sent_changed: true,
            told_status,
            told_conversations,
            told_team,
            told_not_sent,
        };
        mirror.publish();
        let conversations = WatchedList { listing, changed };
        (mirror, Watched { status, conversations, team, not_sent })
    }

    /// Takes note of a row on its way into the store.
    pub(crate) fn note(&mut self, write: &Write) {
        match write {
            Write::Conversation(row) => {
                self.changes.insert(row.conversation.id, (!row.lost).then(|| summary(row)));
            }
            Write::Forget(conversation) => drop(self.changes.insert(*conversation, None)),
            Write::Team(team) => {
                self.status.role = Some(team.role);
                self.told_team.send_replace(Some(Arc::new(team_view(team))));
            }
            Write::Meta(meta) => self.status.member = meta.member,
            Write::Outbox(row) => drop(self.outbox.insert(row.order)),
            Write::OutboxGone(order) => drop(self.outbox.remove(order)),
            Write::Resolve(row) => drop(self.resolves.insert(row.order)),
            Write::ResolveGone(order) => drop(self.resolves.remove(order)),
            Write::NotSent(row) => {
                self.not_sent.insert(row.order, (**row).clone());
                self.not_sent_changed = true;
            }
            Write::NotSentGone(order) => {
                self.not_sent.remove(order);
                self.not_sent_changed = true;
            }
            _ => {}
        }
    }

    /// Shows the handles what changed.
    pub(crate) fn publish(&mut self) {
        if !self.changes.is_empty() {
            let mut listing = locked(&self.conversations);
            let mut changed = false;
            for (id, conversation) in core::mem::take(&mut self.changes) {
                changed |= listing.take(id) | conversation.is_some();
                conversation.into_iter().for_each(|conversation| listing.put(conversation));
            }
            // While it is locked: whoever reads it now has not missed this change, and is not told of it again.
            self.told_conversations.send_if_modified(|()| changed);
        }
        if core::mem::take(&mut self.not_sent_changed) {
            self.told_not_sent.send_replace(self.not_sent.values().cloned().collect());
        }
        self.status.outbox = self.outbox.len() + self.resolves.len();
        self.status.not_sent = self.not_sent.len();
        let status = &self.status;
        self.told_status.send_if_modified(|told| {
            let changed = told != status;
            if changed {
                told.clone_from(status);
            }
            changed
        });
    }
}

fn summary(row: &ConversationRow) -> Conversation {
    let known = &row.conversation;
    Conversation {
        id: known.id,
        customer: known.customer.clone(),
        service: known.service,
        assigned: known.assigned.clone(),
        newest: row.newest,
        markers: row.markers.clone(),
        keep: known.keep,
    }
}

fn team_view(team: &Team) -> TeamView {
    TeamView { members: team.members.clone(), policy: team.policy, role: team.role }
}
