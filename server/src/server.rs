//! The whole hub: folder, store, core, certificate, port and admin socket, started and stopped as one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lockstep_core::hub::Boot;
use lockstep_core::planted::Planted;
use lockstep_protocol::id::{HubId, PinnedKeyHash};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin::{Admin, AdminError};
use crate::config::Config;
use crate::driver::{Driver, HubHandle};
use crate::entropy;
use crate::instance::{Instance, InstanceError};
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::names;
use crate::store::{Store, StoreError};
use crate::tls::{Certificate, TlsError};

/// How often the certificate's files are looked at.
const REFRESH: Duration = Duration::from_secs(60 * 60);

/// Why the hub does not start, or why it stopped.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The folder.
    #[error(transparent)]
    Instance(#[from] InstanceError),
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
    /// A task of the hub panicked.
    #[error("a part of the hub panicked; please report the lines above")]
    Panicked,
}

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
        let key = instance.hub_key()?;
        let store = Store::open(instance.folder(), &config.store, HubId(entropy::fresh()))?;
        let store = Arc::new(store);
        let names = names::reachable(&config.listen.names, config.listen.address);
        let certificate = Arc::new(Certificate::open(instance.folder(), &config.tls, &names)?);
        let metrics = Arc::new(Metrics::default());
        let stored = store.reader().stored()?;
        if stored.members.is_empty() {
            tracing::warn!("the team has no members yet: lockstep member add NAME --role owner");
        }
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
            policy: stored.policy,
            seen: stored.seen,
            audit: stored.audit,
            restored: false,
            outside: store.outside()?,
            entropy: entropy::fresh(),
            config: config.hub,
            planted: Planted::default(),
        };
        let grace = Duration::from_secs(config.grace_seconds);
        let driver =
            Driver::start(boot, Arc::clone(&store), Arc::clone(&metrics), grace).map_err(ServerError::Thread)?;
        let hub = driver.handle();
        let bind = async |address, acceptor| {
            let bound = Listener::bind(address, &config.listen, acceptor, hub.clone(), Arc::clone(&metrics)).await;
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
        let driver = tokio::spawn(async move {
            let ended = driver.run().await;
            drop(instance);
            ended
        });
        tracing::info!(%address, hub = %identity.hub, "the hub is up");
        Ok(Self { identity, hub, stop, driver, tasks })
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
