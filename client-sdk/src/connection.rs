//! One connection to the hub: TCP, TLS, WebSocket, frames.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use lockstep_client_core::input::ConnectionId;
use lockstep_protocol::codec::{self, DecodeError};
use lockstep_protocol::frame::HubFrame;
use lockstep_protocol::id::PinnedKeyHash;
use lockstep_protocol::limits::FRAME_BYTES_MAX;
use lockstep_protocol::link::SYNC_PATH;
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tracing::debug;

use crate::tls::PinnedTls;

/// Frames that may wait to be sent. The core asks so many questions at once at most; beyond, the link is broken.
const SEND_FRAMES_MAX: usize = 512;

/// Read buffer, and what is gathered before it is written, bytes.
const BUFFER_BYTES: usize = 16 * 1024;

/// How long what was sent before a disconnection may take to leave, and the connection to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where the hub is, and how it is recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HubAddress {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// SHA-256 of its certificate key: the device talks to no other.
    pub pinned: PinnedKeyHash,
}

impl HubAddress {
    /// `HOST:PORT` as in a URL.
    #[must_use]
    pub fn authority(&self) -> String {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// Why there is no connection. The next attempt comes by itself.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ConnectTrouble {
    /// No answer at the address.
    #[error("the hub at {address} cannot be reached: {reason}; check that it runs and that this network leads there")]
    Unreachable {
        /// `HOST:PORT`.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The peer's certificate has another key than the pairing link said.
    #[error(
        "the server at {address} is not the hub that this device was paired with: its certificate has the key {found}, \
         not {pinned}; somebody stands in between, or the hub has a new key and this device must be enrolled again"
    )]
    WrongCertificate {
        /// `HOST:PORT`.
        address: String,
        /// The key that the link named.
        pinned: PinnedKeyHash,
        /// The key that the server showed.
        found: PinnedKeyHash,
    },
    /// The TLS handshake failed otherwise.
    #[error("no TLS with the server at {address}: {reason}; check that the port is the hub's")]
    Tls {
        /// `HOST:PORT`.
        address: String,
        /// What TLS said.
        reason: String,
    },
    /// The server speaks TLS, but is no hub.
    #[error("the server at {address} does not answer as a hub: {reason}")]
    NotAHub {
        /// `HOST:PORT`.
        address: String,
        /// What it said.
        reason: String,
    },
    /// A connection that stood broke.
    #[error("the connection to the hub broke: {reason}")]
    Broken {
        /// How.
        reason: String,
    },
}

/// What a connection tells the driver.
#[derive(Debug)]
pub(crate) enum Wire {
    /// It stands.
    Connected(ConnectionId),
    /// A frame, or what was meant to be one.
    Frame(ConnectionId, Result<HubFrame, DecodeError>),
    /// It is gone; without trouble if the driver wanted so.
    Gone(ConnectionId, Option<ConnectTrouble>),
}

/// The driver's hold on a connection: when it is dropped, what was sent leaves, and the connection ends.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    pub(crate) outgoing: mpsc::Sender<Bytes>,
    _held: oneshot::Sender<()>,
}

/// Begins a connection among `connections`, which tells `wire` how it fares.
pub(crate) fn begin(
    connection: ConnectionId,
    hub: HubAddress,
    wire: mpsc::Sender<Wire>,
    connections: &mut JoinSet<()>,
) -> Link {
    let (outgoing, frames) = mpsc::channel(SEND_FRAMES_MAX);
    let (held, released) = oneshot::channel::<()>();
    connections.spawn(run(connection, hub, frames, released, wire));
    Link { connection, outgoing, _held: held }
}

async fn run(
    connection: ConnectionId,
    hub: HubAddress,
    mut outgoing: mpsc::Receiver<Bytes>,
    released: oneshot::Receiver<()>,
    wire: mpsc::Sender<Wire>,
) {
    let late = async {
        // Nothing is ever sent here: it resolves when the driver lets go.
        drop(released.await);
        sleep(CLOSE_TIMEOUT).await;
    };
    let outcome = tokio::select! {
        outcome = talk(connection, &hub, &mut outgoing, &wire) => outcome,
        () = late => Ok(()),
    };
    if wire.send(Wire::Gone(connection, outcome.err())).await.is_err() {
        debug!("the driver ended before its connection");
    }
}

async fn talk(
    connection: ConnectionId,
    hub: &HubAddress,
    outgoing: &mut mpsc::Receiver<Bytes>,
    wire: &mpsc::Sender<Wire>,
) -> Result<(), ConnectTrouble> {
    let socket = tokio::select! {
        socket = connect(hub) => socket?,
        // Nothing is sent before the hub's first frame: this is the other end being dropped.
        _ = outgoing.recv() => return Ok(()),
    };
    if wire.send(Wire::Connected(connection)).await.is_err() {
        return Ok(());
    }
    let (mut sink, mut stream) = socket.split();
    let write = async {
        while let Some(first) = outgoing.recv().await {
            sink.feed(Message::Binary(first)).await?;
            while let Ok(more) = outgoing.try_recv() {
                sink.feed(Message::Binary(more)).await?;
            }
            sink.flush().await?;
        }
        sink.send(Message::Close(None)).await
    };
    let read = async {
        loop {
            let frame = match stream.next().await {
                None | Some(Ok(Message::Close(_))) => return broken("the hub closed it"),
                Some(Err(tungstenite::Error::Capacity(_))) => Err(DecodeError::TooLarge(FRAME_BYTES_MAX + 1)),
                Some(Err(error)) => return broken(&error.to_string()),
                Some(Ok(Message::Binary(bytes))) => match codec::decode_hub(&bytes) {
                    Ok(Some(frame)) => Ok(frame),
                    // A newer hub's frame that this version does not know.
                    Ok(None) => continue,
                    Err(error) => Err(error),
                },
                Some(Ok(Message::Text(_))) => Err(DecodeError::Malformed(0)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            };
            let malformed = frame.is_err();
            if wire.send(Wire::Frame(connection, frame)).await.is_err() {
                return Ok(());
            }
            if malformed {
                return broken("the hub sent something that is no frame");
            }
        }
    };
    tokio::pin!(write);
    tokio::select! {
        written = &mut write => written.map_err(|error| ConnectTrouble::Broken { reason: error.to_string() }),
        outcome = read => outcome,
    }
}

fn broken(reason: &str) -> Result<(), ConnectTrouble> {
    Err(ConnectTrouble::Broken { reason: reason.to_owned() })
}

async fn connect(
    hub: &HubAddress,
) -> Result<WebSocketStream<impl AsyncRead + AsyncWrite + Unpin + use<>>, ConnectTrouble> {
    let address = hub.authority();
    let unreachable = |error: std::io::Error| {
        let address = address.clone();
        ConnectTrouble::Unreachable { address, reason: error.to_string() }
    };
    let tcp = TcpStream::connect((hub.host.as_str(), hub.port)).await.map_err(unreachable)?;
    // Facts are small and wanted at once.
    tcp.set_nodelay(true).map_err(unreachable)?;
    let name = ServerName::try_from(hub.host.clone()).map_err(|error| {
        let address = address.clone();
        ConnectTrouble::Unreachable { address, reason: error.to_string() }
    })?;
    let tls = PinnedTls::new(hub.pinned);
    let stream = TlsConnector::from(tls.config.clone()).connect(name, tcp).await.map_err(|error| {
        let address = address.clone();
        match tls.take_refused() {
            Some(found) => ConnectTrouble::WrongCertificate { address, pinned: hub.pinned, found },
            None => ConnectTrouble::Tls { address, reason: error.to_string() },
        }
    })?;
    let url = format!("wss://{address}{SYNC_PATH}");
    let upgraded = tokio_tungstenite::client_async_with_config(url, stream, Some(limits())).await;
    let (socket, _) =
        upgraded.map_err(|error| ConnectTrouble::NotAHub { address: address.clone(), reason: error.to_string() })?;
    Ok(socket)
}

/// Every limit that tungstenite has; its defaults are 64 MiB and more.
fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(2 * FRAME_BYTES_MAX + BUFFER_BYTES)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX))
        .accept_unmasked_frames(false)
}

/// Lets connections that were told to end do so, but not for long.
pub(crate) async fn end(connections: &mut JoinSet<()>) {
    let ended = timeout(2 * CLOSE_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        connections.shutdown().await;
    }
}
