//! The whole hub: folder, store, core, certificate, port and admin socket, started and stopped as one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lockstep_core::hub::Boot;
use lockstep_core::planted::Planted;
use lockstep_protocol::id::{HubId, PinnedKeyHash};
use rustix::process::setpriority_process;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin::{Admin, AdminError};
use crate::config::Config;
use crate::driver::{Driver, HubHandle};
use crate::entropy;
use crate::instance::{Instance, InstanceError};
use crate::keychain::{KeyError, Keychain};
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::names;
use crate::store::{Store, StoreError};
use crate::tls::{Certificate, TlsError};
use crate::words::WordList;

/// How often the certificate's files are looked at.
const REFRESH: Duration = Duration::from_secs(60 * 60);

/// Why the hub does not start, or why it stopped.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The folder.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log could not be written while running.
    #[error(
        "{0}\nThe log cannot be written, so nothing more is acknowledged and the hub stops; what was acknowledged is safe. \
         Check the disk (space, errors), then start the hub again"
    )]
    Log(StoreError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The admin socket.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The port.
    #[error("cannot listen on {address}: {error}; is another program using the port?")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// A thread could not be started.
    #[error("the system gives no thread: {0}")]
    Thread(std::io::Error),
    /// The stored list of sensitive words.
    #[error("the stored list of sensitive words cannot be read; restore the store from a backup")]
    WordsUnreadable,
    /// The list makes no matcher.
    #[error("the list of sensitive words: {0}")]
    Words(lockstep_words::BuildError),
    /// A task of the hub panicked.
    #[error("a part of the hub panicked; please report the lines above")]
    Panicked,
}

/// Of the thread that seals what is older than sealing: no message waits for it.
const SEALING_NICENESS: i32 = 19;

/// What is known of a running hub beside its state.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The hub.
    pub hub: HubId,
    /// Where it listens.
    pub address: SocketAddr,
    /// Names and addresses by which devices reach it.
    pub names: Vec<String>,
    /// What devices pin.
    pub pinned: PinnedKeyHash,
    /// Its folder.
    pub folder: PathBuf,
}

/// A running hub.
#[derive(Debug)]
pub struct Server {
    identity: Identity,
    hub: HubHandle,
    stop: watch::Sender<bool>,
    stop_sealing: Arc<AtomicBool>,
    driver: JoinHandle<Result<(), StoreError>>,
    tasks: tokio::task::JoinSet<()>,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// See [`ServerError`]; nothing is left running.
    pub async fn start(config: &Config) -> Result<Self, ServerError> {
        let instance = Instance::take(&config.folder)?;
        let keychain = Arc::new(Keychain::open(instance.folder(), &config.seal)?);
        let key = instance.hub_key(&keychain)?;
        let store = Arc::new(Store::open_with(instance.folder(), &config.store, Arc::clone(&keychain))?);
        let names = names::reachable(&config.listen.names, config.listen.address);
        let certificate = Arc::new(Certificate::open(instance.folder(), &config.tls, &names, keychain)?);
        let metrics = Arc::new(Metrics::default());
        for conversation in store.shred_again()? {
            tracing::warn!(%conversation, "this store is older than its keys: a conversation that was shredded is deleted again");
        }
        let stored = store.reader().stored()?;
        if stored.members.is_empty() {
            tracing::warn!("the team has no members yet: lockstep member add NAME --role owner");
        }
        let words = match &stored.words {
            Some(bytes) => WordList::from_bytes(bytes).ok_or(ServerError::WordsUnreadable)?,
            None => WordList::default(),
        };
        let boot = Boot {
            hub: store.hub(),
            key: key.clone(),
            pinned: certificate.pinned(),
            epochs: stored.epochs,
            head: stored.head.lsn,
            chain: stored.head.chain,
            at_ms: stored.head.at_ms,
            floor: stored.floor,
            members: stored.members,
            devices: stored.devices,
            revoked: stored.revoked,
            policy: stored.policy,
            seen: stored.seen,
            audit: stored.audit,
            restored: false,
            outside: store.outside()?,
            words: Arc::new(words.matcher().map_err(ServerError::Words)?),
            scan: stored.scan,
            shredded: stored.shredded,
            entropy: entropy::fresh(),
            config: config.hub,
            planted: Planted::default(),
        };
        let grace = Duration::from_secs(config.grace_seconds);
        let driver =
            Driver::start(boot, Arc::clone(&store), Arc::clone(&metrics), grace).map_err(ServerError::Thread)?;
        let hub = driver.handle();
        let authority = certificate.authority()?;
        let bind = async |address, acceptor| {
            let (authority, hub, metrics) = (authority.clone(), hub.clone(), Arc::clone(&metrics));
            let bound =
                Listener::bind(address, &config.listen, acceptor, (certificate.pinned(), authority), hub, metrics)
                    .await;
            let bound = bound.and_then(|listener| Ok((listener.address()?, listener)));
            bound.map_err(|error| ServerError::Listen { address, error })
        };
        let (address, listener) = bind(config.listen.address, Some(certificate.acceptor()?)).await?;
        let plain = match config.listen.plain {
            Some(address) => Some(bind(address, None).await?),
            None => None,
        };
        let identity = Identity {
            hub: store.hub(),
            address,
            names,
            pinned: certificate.pinned(),
            folder: instance.folder().to_owned(),
        };
        let admin = Admin::bind(
            identity.clone(),
            key,
            hub.clone(),
            Arc::clone(&store),
            Arc::clone(&certificate),
            Arc::clone(&metrics),
            words,
        )?;
        let (stop, stopping) = watch::channel(false);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(listener.run(stopping.clone()));
        if let Some((address, listener)) = plain {
            tracing::info!(%address, "a proxy of this machine may connect without TLS");
            tasks.spawn(listener.run(stopping.clone()));
        }
        tasks.spawn(admin.run(stopping.clone()));
        tasks.spawn(keep_certificate(certificate, stopping));
        tasks.spawn(forget_replaced(Arc::clone(&store), stop.subscribe()));
        let stop_sealing = Arc::new(AtomicBool::new(false));
        if store.has_bare_rows() {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop_sealing));
            tasks.spawn_blocking(move || seal_old(store, stop));
        }
        let driver = tokio::spawn(async move {
            let ended = driver.run().await;
            drop(instance);
            ended
        });
        tracing::info!(%address, hub = %identity.hub, "the hub is up");
        Ok(Self { identity, hub, stop, stop_sealing, driver, tasks })
    }

    /// What is known of it.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The way to the hub.
    #[must_use]
    pub const fn hub(&self) -> &HubHandle {
        &self.hub
    }

    /// Waits until the hub ends by itself, which it does only when its log fails.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn ended(&mut self) -> Result<(), ServerError> {
        let ended = (&mut self.driver).await;
        self.stop_tasks().await;
        outcome(ended)
    }

    /// Stops it: takes nothing new, finishes what is in flight within the grace time, then closes everything.
    ///
    /// # Errors
    /// If the log failed meanwhile.
    pub async fn stop(mut self) -> Result<(), ServerError> {
        self.hub.drain();
        let ended = (&mut self.driver).await;
        self.stop_tasks().await;
        outcome(ended)
    }

    async fn stop_tasks(&mut self) {
        self.stop.send_replace(true);
        self.stop_sealing.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            if ended.is_err_and(|error| error.is_panic()) {
                tracing::error!("a part of the hub panicked");
            }
        }
    }
}

fn outcome(ended: Result<Result<(), StoreError>, tokio::task::JoinError>) -> Result<(), ServerError> {
    ended.map_err(|_| ServerError::Panicked)?.map_err(ServerError::Log)
}

/// Seals what is older than sealing, on a thread of its own: its priority is lower than that of everything else.
fn seal_old(store: Arc<Store>, stop: Arc<AtomicBool>) {
    tracing::info!("rows from before sealing are sealed in the background");
    let thread = std::thread::Builder::new().name("seal".into()).spawn(move || {
        // On Linux a niceness is the calling thread's alone: setpriority(2), "C library/kernel differences".
        if let Err(error) = setpriority_process(None, SEALING_NICENESS) {
            tracing::warn!(%error, "sealing runs at the priority of everything else");
        }
        match store.seal_old(&stop) {
            Ok(rows) if stop.load(Ordering::Relaxed) => tracing::info!(rows, "sealing goes on at the next start"),
            Ok(rows) => tracing::info!(rows, "every row of the store is sealed"),
            Err(error) => {
                tracing::error!(%error, "not every row of the store could be sealed; the next start tries again")
            }
        }
    });
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(())) => {}
        Ok(Err(_)) => tracing::error!("sealing panicked"),
        Err(error) => tracing::error!(%error, "the system gives no thread for sealing; the next start tries again"),
    }
}

/// Drives out what stood in the clear and is sealed now.
async fn forget_replaced(store: Arc<Store>, mut stop: watch::Receiver<bool>) {
    loop {
        let is_last = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => true,
            () = store.has_replaced() => false,
        };
        let store = Arc::clone(&store);
        match tokio::task::spawn_blocking(move || store.forget_replaced()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "what stood in the clear is not driven out yet"),
            Err(_) => tracing::error!("driving out what stood in the clear panicked"),
        }
        if is_last {
            return;
        }
    }
}

/// Renews the hub's own certificate in time, and takes the operator's new files.
async fn keep_certificate(certificate: Arc<Certificate>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(REFRESH) => {}
        }
        let certificate = Arc::clone(&certificate);
        match tokio::task::spawn_blocking(move || certificate.refresh()).await {
            Ok(Ok(true)) => tracing::info!("a new certificate is in use"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::error!(%error, "the certificate could not be renewed; the old one stays in use"),
            Err(_) => tracing::error!("renewing the certificate panicked"),
        }
    }
}
