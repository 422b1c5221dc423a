//! The one port: TCP, TLS, HTTP, and from there to a WebSocket or a small page. Everything that comes before a device
//! has proven who it is is bounded in number and in time.

mod gate;
mod http;
mod offences;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioIo, TokioTimer};
use lockstep_core::effect::CloseReason;
use lockstep_protocol::id::PinnedKeyHash;
use lockstep_protocol::limits;
use lockstep_protocol::refusal::RefusalCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::config::{ListenConfig, MetricsAccess};
use crate::connection;
use crate::driver::HubHandle;
use crate::metrics::Metrics;
use gate::{Gate, Place};
use http::Pages;
use offences::Offences;

/// TLS and the HTTP request each get so long.
const HANDSHAKE: Duration = Duration::from_millis(limits::HANDSHAKE_MS_MAX);
/// An HTTP connection that never becomes a WebSocket ends after so long.
const HTTP: Duration = Duration::from_secs(30);
/// Largest HTTP request head, bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most header lines of a request.
const HEADERS_MAX: usize = 64;
/// The share of `listen.handshakes_max` that one address may take, at least one: a quarter.
const ADDRESS_SHARE: usize = 4;
/// Connections that the system keeps until they are accepted.
const BACKLOG: u32 = 4_096;
/// Wait after the system refuses a connection, out of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection needs.
#[derive(Debug)]
struct Shared {
    hub: HubHandle,
    metrics: Arc<Metrics>,
    metrics_access: MetricsAccess,
    /// Origins beside the hub's own whose pages may connect.
    origins: Vec<String>,
    /// What devices pin.
    pinned: PinnedKeyHash,
    /// The certificate, DER, of the hub's own authority.
    authority: Option<Bytes>,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    gate: Arc<Gate>,
    /// Of peers that are known by their address; behind a proxy nobody is.
    offences: Option<Mutex<Offences>>,
}

/// The port, bound and not yet served.
pub(crate) struct Listener {
    tcp: TcpListener,
    /// None where a proxy of this machine speaks TLS in the hub's place.
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds a port; without an acceptor, for a proxy of this machine that speaks TLS in the hub's place. Browsers are shown
    /// what devices pin, and the hub's own authority.
    ///
    /// # Errors
    /// If the system does not give it.
    pub(crate) async fn bind(
        address: SocketAddr,
        config: &ListenConfig,
        acceptor: Option<TlsAcceptor>,
        (pinned, authority): (PinnedKeyHash, Option<Bytes>),
        hub: HubHandle,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // After a restart all devices come at once.
        let tcp = socket.listen(BACKLOG)?;
        let share = if acceptor.is_some() { ADDRESS_SHARE } else { 1 };
        let shared = Shared {
            hub,
            metrics,
            metrics_access: config.metrics,
            origins: config.origins.clone(),
            pinned,
            authority,
            connections: Arc::new(Semaphore::new(config.connections_max)),
            handshakes: Arc::new(Semaphore::new(config.handshakes_max)),
            gate: Gate::new((config.handshakes_max / share).max(1)),
            offences: acceptor.is_some().then(Mutex::default),
        };
        Ok(Self { tcp, acceptor, shared: Arc::new(shared) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until `stop` turns true, then waits for the connections to end: the hub closes them.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = self.tcp.accept() => accepted,
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    note_end(ended);
                    continue;
                }
            };
            let (tcp, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let connection = Arc::clone(&self.shared.connections).try_acquire_owned();
            let (Ok(connection), Some(place)) = (connection, self.shared.gate.enter(peer.ip())) else {
                // Dropped at once: a peer that is told why would cost as much as one that is let in.
                self.shared.metrics.closed("too_many_connections");
                continue;
            };
            let (acceptor, shared) = (self.acceptor.clone(), Arc::clone(&self.shared));
            tasks.spawn(async move {
                serve(acceptor, &shared, tcp, peer.ip(), place).await;
                drop(connection);
            });
        }
        drop(self.tcp);
        while let Some(ended) = tasks.join_next().await {
            note_end(ended);
        }
    }
}

fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection's task panicked");
    }
}

/// One connection from TCP to its end.
async fn serve(acceptor: Option<TlsAcceptor>, shared: &Shared, tcp: TcpStream, peer: IpAddr, place: Place) {
    // In a box, which goes when it is done: a task is as large as the largest thing that it ever waits for, and most of
    // them are devices that have been connected for hours.
    let Some(upgraded) = Box::pin(let_in(acceptor, shared, tcp, peer, place)).await else { return };
    let reason = connection::run(upgraded, &shared.hub, &shared.metrics).await;
    if let Some(CloseReason::Refused(code)) = reason
        && is_offence(code)
        && let Some(offences) = &shared.offences
    {
        offences.lock().unwrap_or_else(PoisonError::into_inner).note(peer);
    }
}

/// From TCP to the upgrade to a WebSocket; none for a connection that fails, or wanted a page only.
async fn let_in(
    acceptor: Option<TlsAcceptor>,
    shared: &Shared,
    tcp: TcpStream,
    peer: IpAddr,
    _place: Place,
) -> Option<TokioIo<Upgraded>> {
    let pause = |offences: &Mutex<Offences>| offences.lock().unwrap_or_else(PoisonError::into_inner).pause(peer);
    if let Some(pause) = shared.offences.as_ref().and_then(pause) {
        tokio::time::sleep(pause).await;
    }
    // Only now: whoever is made to wait takes nothing from those who are not.
    let Ok(handshake) = Arc::clone(&shared.handshakes).try_acquire_owned() else {
        shared.metrics.closed("too_many_connections");
        return None;
    };
    // Small frames must not wait for an acknowledgement of the last one.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone at once");
        return None;
    }
    let Some(acceptor) = acceptor else { return upgraded(shared, peer, handshake, tcp).await };
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(tcp)).await {
        Ok(Ok(tls)) => upgraded(shared, peer, handshake, tls).await,
        Ok(Err(error)) => {
            shared.metrics.closed("tls");
            tracing::debug!(%error, "TLS failed");
            None
        }
        Err(_) => {
            shared.metrics.closed("handshake_timeout");
            None
        }
    }
}

/// Answers HTTP until a request wants a WebSocket.
async fn upgraded<S>(
    shared: &Shared,
    peer: IpAddr,
    handshake: OwnedSemaphorePermit,
    stream: S,
) -> Option<TokioIo<Upgraded>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pages = Pages::new(shared, peer, handshake);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HANDSHAKE).max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let answered =
        http.serve_connection(TokioIo::new(stream), service_fn(|request| pages.call(request))).with_upgrades();
    match tokio::time::timeout(HTTP, answered).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(%error, "HTTP failed");
            return None;
        }
        Err(_) => {
            shared.metrics.closed("http_timeout");
            return None;
        }
    }
    match pages.upgrade()?.await {
        Ok(upgraded) => Some(TokioIo::new(upgraded)),
        Err(error) => {
            tracing::debug!(%error, "the upgrade to a WebSocket failed");
            None
        }
    }
}

/// What no well-meaning device does twice.
const fn is_offence(code: RefusalCode) -> bool {
    matches!(
        code,
        RefusalCode::Malformed
            | RefusalCode::TooLarge
            | RefusalCode::FrameUnexpected
            | RefusalCode::ProofInvalid
            | RefusalCode::CodeInvalid
            | RefusalCode::DeviceUnknown
    )
}
