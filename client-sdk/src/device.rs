//! The handle of a device.

mod acts;
mod wait;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use lockstep_client_core::device::DeviceConfig;
use lockstep_client_core::effect::{ActOutcome, Notice};
use lockstep_client_core::input::Act;
use lockstep_client_core::row::NotSentRow;
use lockstep_protocol::auth::DeviceKey;
use lockstep_protocol::id::{ConversationId, DeviceId, MemberId};
use lockstep_protocol::link::Link;
use lockstep_protocol::refusal::Refusal;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::connection::HubAddress;
use crate::driver::{self, REQUESTS_MAX, Request, Start};
use crate::error::{Error, failure};
use crate::event::{EVENTS_MAX, Event, Events};
use crate::export::{self, ExportedDocument};
use crate::status::{ConversationList, Mirror, Status, TeamView, Watched};
use crate::store::{Identity, Store, StoreError};
use crate::view::View;

pub use wait::ConversationsView;

/// A device, running: connected to its hub whenever it can be, until this handle is closed or dropped.
///
/// All methods take `&self`; put it into an [`Arc`] to share it between tasks. Acts are answered when they are durable
/// on this device, whether it is online or not: what was answered survives a power failure and is sent later.
#[derive(Debug)]
pub struct Device {
    id: DeviceId,
    hub: HubAddress,
    store: Weak<Store>,
    requests: mpsc::Sender<Request>,
    watched: Watched,
    events: broadcast::WeakSender<Event>,
    running: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

/// Choices for [`Device::open_with`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The hub's name or address and port, if they changed since the device was enrolled. Kept for the next time.
    pub address: Option<(String, u16)>,
    /// What the device keeps in memory.
    pub config: DeviceConfig,
    /// The root key that everything the device keeps is sealed under, as the system's key store holds it. Without one, a
    /// key is made and kept in a file beside the device's folder (`NAME.key`), readable by its owner only.
    pub root_key: Option<[u8; 32]>,
}

impl Device {
    /// Makes a new device in the folder `home` and enrols it with a pairing link. `name` is what the team sees in its
    /// list of devices.
    ///
    /// If the connection breaks just after the hub took the code, call it again with the same link: the device then
    /// finds itself enrolled.
    ///
    /// # Errors
    /// `AlreadyEnrolled`; `Store`; `Connect` if the hub cannot be reached or has another certificate than the link
    /// says; `Refused` if the code is wrong, used or expired.
    pub async fn enrol(home: impl AsRef<Path>, link: &Link, name: &str) -> Result<Self, Error> {
        Self::enrol_with(home, link, name, Options::default()).await
    }

    /// As [`Device::enrol`], with choices; the address is the link's.
    ///
    /// # Errors
    /// As [`Device::enrol`].
    pub async fn enrol_with(home: impl AsRef<Path>, link: &Link, name: &str, options: Options) -> Result<Self, Error> {
        let Options { config, root_key, .. } = options;
        let home = home.as_ref().to_owned();
        let hub = HubAddress { host: link.host.clone(), port: link.port, pinned: link.pinned };
        let secret = random()?;
        let opening = {
            let hub = hub.clone();
            spawn_blocking(move || make(&home, root_key.as_ref(), &hub, secret))
        };
        let device = Self::run(opening.await.map_err(|_| Error::Closed)??, config)?;
        let mut events = device.events();
        device.act(Act::Enrol { code: link.code, name: name.to_owned() }).await?;
        match welcomed(&mut events).await {
            Ok(()) => Ok(device),
            Err(error) => {
                device.close().await;
                Err(error)
            }
        }
    }

    /// Opens the enrolled device of a folder. It connects in the background; what it holds can be read at once.
    ///
    /// # Errors
    /// `Store`: no device there, in use by another process, written by a newer version, or damaged.
    pub async fn open(home: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(home, Options::default()).await
    }

    /// As [`Device::open`], with choices.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub async fn open_with(home: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        let home = home.as_ref().to_owned();
        let Options { address, config, root_key } = options;
        let opened =
            spawn_blocking(move || reopen(&home, root_key.as_ref(), address)).await.map_err(|_| Error::Closed)??;
        Self::run(opened, config)
    }

    fn run((store, identity): (Store, Identity), config: DeviceConfig) -> Result<Self, Error> {
        let stored = store.stored()?;
        let store = Arc::new(store);
        let key = DeviceKey::new(&identity.secret);
        let id = DeviceId::of(&key.public());
        let hub = HubAddress { host: identity.host, port: identity.port, pinned: identity.pinned };
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let (stop, stopped) = oneshot::channel();
        let (mirror, watched) = Mirror::new(&stored);
        let weak = Arc::downgrade(&store);
        let kept_events = events.downgrade();
        let start = Start { store, key, hub: hub.clone(), stored, seed: random()?, config, mirror, events };
        let task = driver::start(start, inbox, stopped);
        let running = Mutex::new(Some((stop, task)));
        Ok(Self { id, hub, store: weak, requests, watched, events: kept_events, running })
    }

    /// Ends the device: what was handed over is made durable, the connection is closed, the folder is free for another
    /// process. Dropping the handle does the same in the background.
    pub async fn close(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, task)) = running {
            drop(stop);
            if let Err(error) = task.await {
                tracing::error!(%error, "the device's task ended badly");
            }
        }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> DeviceId {
        self.id
    }

    /// Whose device it is.
    ///
    /// # Errors
    /// `Offline` before it was ever let in.
    pub fn member(&self) -> Result<MemberId, Error> {
        self.watched.status.borrow().member.ok_or(Error::Offline)
    }

    /// Where its hub is.
    #[must_use]
    pub const fn hub(&self) -> &HubAddress {
        &self.hub
    }

    /// How it stands now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.watched.status.borrow().clone()
    }

    /// The conversations that it shows, newest first.
    #[must_use]
    pub fn conversations(&self) -> ConversationList {
        self.watched.conversations.read()
    }

    /// The conversations, now and whenever they change.
    #[must_use]
    pub fn watch_conversations(&self) -> ConversationsView {
        ConversationsView::new(self.watched.conversations.clone())
    }

    /// The team; none before the first catch-up.
    #[must_use]
    pub fn team(&self) -> Option<Arc<TeamView>> {
        self.watched.team.borrow().clone()
    }

    /// What its member wrote and the hub will never take, oldest first. [`Device::dismiss`] removes an item.
    #[must_use]
    pub fn not_sent(&self) -> Arc<[NotSentRow]> {
        self.watched.not_sent.borrow().clone()
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        let receiver = self.events.upgrade().map(|events| events.subscribe());
        Events::new(receiver.unwrap_or_else(|| broadcast::channel(1).1))
    }

    /// Opens a live view of a conversation: its newest messages, and then whatever changes.
    ///
    /// # Errors
    /// `Rejected(ConversationUnknown)`; `Closed`; `StoreFailed`.
    pub async fn open_conversation(&self, conversation: ConversationId) -> Result<View, Error> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Open(conversation, reply)).await.map_err(|_| Error::Closed)?;
        let opened = answer.await.map_err(|_| Error::Closed)??;
        Ok(View::new(conversation, opened, self.requests.downgrade()))
    }

    /// A conversation's documents as saved Automerge files, built from this device's facts, pending ones included.
    ///
    /// # Errors
    /// `Rejected(ConversationUnknown)` if it holds none; `Store` if rows are damaged.
    pub async fn export(&self, conversation: ConversationId) -> Result<Vec<ExportedDocument>, Error> {
        let store = self.store.upgrade().ok_or(Error::Closed)?;
        let export = spawn_blocking(move || export::documents(&store, conversation));
        export.await.map_err(|_| Error::Closed)?
    }

    async fn act(&self, act: Act) -> Result<ActOutcome, Error> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Act(act, reply)).await.map_err(|_| Error::Closed)?;
        match answer.await.map_err(|_| Error::Closed)? {
            outcome @ (ActOutcome::Written(_) | ActOutcome::Done | ActOutcome::Answered(_)) => Ok(outcome),
            outcome => Err(failure(outcome)),
        }
    }
}

/// Reads every row of a device's store and has its pages checked; the device must not be running. Answers the number
/// of rows.
///
/// # Errors
/// The first damage found; `Absent`, `InUse`, `Newer`.
pub async fn check(home: impl AsRef<Path>, root_key: Option<[u8; 32]>) -> Result<u64, StoreError> {
    let home = home.as_ref().to_owned();
    let checked = spawn_blocking(move || Store::open(&home, root_key.as_ref())?.check());
    checked.await.unwrap_or_else(|error| Err(StoreError::Damaged(error.to_string())))
}

/// The store of a device that is to be enrolled. What an earlier attempt left is gone on with: the hub may know its
/// key already.
fn make(home: &Path, root: Option<&[u8; 32]>, hub: &HubAddress, secret: [u8; 32]) -> Result<(Store, Identity), Error> {
    let store = Store::open_or_create(home, root)?;
    let secret = match store.identity()? {
        Some(_) if store.stored()?.meta.member.is_some() => return Err(Error::AlreadyEnrolled(home.to_owned())),
        Some(begun) => begun.secret,
        None => secret,
    };
    let identity = Identity { secret, host: hub.host.clone(), port: hub.port, pinned: hub.pinned };
    store.set_identity(&identity)?;
    Ok((store, identity))
}

fn reopen(home: &Path, root: Option<&[u8; 32]>, address: Option<(String, u16)>) -> Result<(Store, Identity), Error> {
    let store = Store::open(home, root)?;
    let absent = || StoreError::Absent { path: PathBuf::from(home) };
    let mut identity = store.identity()?.ok_or_else(absent)?;
    if store.stored()?.meta.member.is_none() {
        return Err(absent().into());
    }
    if let Some((host, port)) = address
        && (&host, port) != (&identity.host, identity.port)
    {
        (identity.host, identity.port) = (host, port);
        store.set_identity(&identity)?;
    }
    Ok((store, identity))
}

/// Waits until the hub lets a new device in, or says why not.
async fn welcomed(events: &mut Events) -> Result<(), Error> {
    let mut refused: Option<Box<Refusal>> = None;
    loop {
        match events.next().await.ok_or(Error::Closed)? {
            Event::Notice(Notice::Online { .. }) => return Ok(()),
            // Perhaps the hub took the code before and only its answer was lost: the device tries to get in once more,
            // and is stopped if that fails.
            Event::Notice(Notice::Refused(refusal)) => refused = Some(refusal),
            Event::Notice(Notice::Stopped(code)) => {
                return Err(refused.map_or_else(|| Error::Stopped(code), Error::Refused));
            }
            Event::Notice(Notice::WrongHub) => return Err(Error::WrongHub),
            Event::Trouble(trouble) => return Err(refused.map_or_else(|| trouble.into(), Error::Refused)),
            Event::StoreFailed(_) => return Err(Error::StoreFailed),
            _ => {}
        }
    }
}

fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Entropy(error.to_string()))?;
    Ok(bytes)
}
