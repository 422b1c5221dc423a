//! A hub in the test's own process: the real rules and a store in memory, behind TLS and WebSocket on 127.0.0.1.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use lockstep_core::hub::HubConfig;
use lockstep_core::input::{Input, Now, SessionId};
use lockstep_protocol::codec;
use lockstep_protocol::directory::Role;
use lockstep_protocol::frame::{Command, Outcome};
use lockstep_protocol::id::{MemberId, PinnedKeyHash};
use lockstep_protocol::link::Link;
use lockstep_sim::local::LocalHub;
use rcgen::{CertifiedKey, PublicKeyData, generate_simple_self_signed};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto};
use tokio_tungstenite::tungstenite::Message;

/// How often the hub looks at its clock.
const TICK: Duration = Duration::from_millis(50);

struct Inner {
    local: LocalHub,
    base: Now,
    started: Instant,
    sessions: BTreeMap<SessionId, mpsc::UnboundedSender<Bytes>>,
    connected: u64,
}

/// A hub that devices can connect to. Everything of it ends with it.
pub(crate) struct TestHub {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
    pinned: PinnedKeyHash,
    up: Arc<AtomicBool>,
    cut: watch::Sender<u64>,
    _tasks: JoinSet<()>,
}

/// As a hub has it, but for compaction, which the hub in memory does not do.
fn config() -> HubConfig {
    HubConfig { compact_tail: 1_000_000, ..HubConfig::default() }
}

/// A TLS server's configuration with a new self-signed key, and the hash that devices pin.
pub(crate) fn certificate() -> (TlsAcceptor, PinnedKeyHash) {
    let names = vec!["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).expect("a certificate");
    let pinned = PinnedKeyHash(Sha256::digest(signing_key.subject_public_key_info()).into());
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], signing_key.serialize_der().try_into().expect("a key"))
        .expect("a configuration");
    (TlsAcceptor::from(Arc::new(config)), pinned)
}

impl Inner {
    fn input(&mut self, input: Input) {
        self.clock();
        self.local.input(input);
        self.deliver();
    }

    fn clock(&mut self) {
        let passed = u64::try_from(self.started.elapsed().as_millis()).expect("a short test");
        self.local.now = Now { wall_ms: self.base.wall_ms + passed, mono_ms: self.base.mono_ms + passed };
    }

    fn deliver(&mut self) {
        while let Some((session, bytes)) = self.local.sent.pop_front() {
            if let Some(outlet) = self.sessions.get(&session) {
                drop(outlet.send(bytes));
            }
        }
        for (session, _) in self.local.closed.drain(..) {
            self.sessions.remove(&session);
        }
    }
}

impl TestHub {
    /// A hub with an owner, member 1.
    pub(crate) async fn start() -> Result<Self> {
        let (acceptor, pinned) = certificate();
        let local = LocalHub::with_pin(config(), pinned);
        // The devices' wall clock is this machine's; a device that starts offline has no other.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let base = Now { wall_ms: u64::try_from(wall)?, ..local.now };
        let started = Instant::now();
        let inner = Inner { local, base, started, sessions: BTreeMap::new(), connected: 0 };
        let inner = Arc::new(Mutex::new(inner));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let up = Arc::new(AtomicBool::new(true));
        let (cut, cuts) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, acceptor, inner.clone(), up.clone(), cuts));
        tasks.spawn(tick(inner.clone()));
        Ok(Self { inner, address, pinned, up, cut, _tasks: tasks })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics in here")
    }

    /// Runs a command as the hub's own machine.
    pub(crate) fn administer(&self, command: Command) -> Outcome {
        let mut inner = self.inner();
        inner.clock();
        let outcome = inner.local.administer(command);
        inner.deliver();
        outcome
    }

    /// Adds a member.
    pub(crate) fn add_member(&self, member: u32, role: Role) {
        self.inner().local.add_member(member, role);
    }

    /// A pairing link for a device of a member.
    pub(crate) fn link(&self, member: u32) -> Link {
        let Outcome::Invited { code, .. } = self.administer(Command::Invite { member: MemberId(member) }) else {
            panic!("an invitation was expected");
        };
        Link { host: self.address.ip().to_string(), port: self.address.port(), pinned: self.pinned, code }
    }

    /// Breaks every connection and takes no new one until [`TestHub::mend`].
    pub(crate) fn cut(&self) {
        self.up.store(false, Ordering::SeqCst);
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Takes connections again.
    pub(crate) fn mend(&self) {
        self.up.store(true, Ordering::SeqCst);
    }
}

async fn tick(inner: Arc<Mutex<Inner>>) {
    let mut clock = tokio::time::interval(TICK);
    loop {
        clock.tick().await;
        inner.lock().expect("no test panics in here").input(Input::Ticked);
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    inner: Arc<Mutex<Inner>>,
    up: Arc<AtomicBool>,
    cuts: watch::Receiver<u64>,
) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((tcp, _)) = listener.accept().await else { return };
        if up.load(Ordering::SeqCst) {
            let (acceptor, inner, mut cuts) = (acceptor.clone(), inner.clone(), cuts.clone());
            cuts.mark_unchanged();
            connections.spawn(async move {
                tokio::select! {
                    // A device that goes away is no failure.
                    _ = serve(tcp, acceptor, &inner) => {}
                    _ = cuts.changed() => {}
                }
            });
        }
    }
}

/// Tells the hub when the connection is gone, however it ends.
struct Connected<'a>(&'a Mutex<Inner>, SessionId);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        if let Ok(mut inner) = self.0.lock() {
            inner.sessions.remove(&self.1);
            inner.input(Input::Disconnected { session: self.1 });
        }
    }
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, inner: &Mutex<Inner>) -> Result<()> {
    let socket = tokio_tungstenite::accept_async(acceptor.accept(tcp).await?).await?;
    let (mut sink, mut stream) = socket.split();
    let (outlet, mut outgoing) = mpsc::unbounded_channel();
    let connected = {
        let mut inner = inner.lock().expect("no test panics in here");
        inner.connected += 1;
        let session = SessionId(1_000 + inner.connected);
        inner.sessions.insert(session, outlet);
        let entropy = inner.local.draw();
        inner.input(Input::Connected { session, entropy });
        session
    };
    let _gone = Connected(inner, connected);
    let write = async {
        while let Some(bytes) = outgoing.recv().await {
            sink.send(Message::Binary(bytes)).await?;
        }
        sink.send(Message::Close(None)).await
    };
    let read = async {
        while let Some(message) = stream.next().await {
            let Message::Binary(bytes) = message? else { continue };
            let Some(frame) = codec::decode_device(&bytes).transpose() else { continue };
            inner.lock().expect("no test panics in here").input(Input::FrameReceived { session: connected, frame });
        }
        Ok(())
    };
    tokio::select! {
        written = write => written.context("writing"),
        read = read => read,
    }
}
