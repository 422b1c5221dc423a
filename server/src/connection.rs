//! One WebSocket: frames in to the hub, frames out from it. One task a connection, which ends with either side.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use lockstep_core::effect::CloseReason;
use lockstep_core::input::{Input, SessionId};
use lockstep_protocol::codec::{self, DecodeError};
use lockstep_protocol::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, error::CapacityError};

use crate::driver::{HubHandle, Outgoing, Session};
use crate::metrics::Metrics;

/// Read buffer of a connection, bytes: allocated for each one, so small.
const READ_BUFFER_BYTES: usize = 1024;
/// What is gathered before the socket is written to, bytes.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// The most that one socket write may hold back, bytes: one frame more than is gathered.
const WRITE_BUFFER_BYTES_MAX: usize = WRITE_BUFFER_BYTES + 2 * limits::FRAME_BYTES_MAX;
/// Frames gathered for one flush.
const GATHER_MAX: usize = 64;
/// A connection that the hub closes gets so long to take what was sent before.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Bytes written before the hub is told so: telling it of every frame cost a tenth of a fan-out. Less than this is never
/// returned, so it must be far below what the hub takes for a lagging session.
const SENT_REPORT_BYTES: usize = limits::SESSION_QUEUE_BYTES_MAX / 16;

const _: () = assert!(SENT_REPORT_BYTES * 4 <= limits::SESSION_QUEUE_BYTES_MAX);
const _: () = assert!(WRITE_BUFFER_BYTES_MAX > limits::FRAME_BYTES_MAX + WRITE_BUFFER_BYTES);

/// The limits of a WebSocket: the library's own defaults are unbounded or wasteful.
#[must_use]
pub(crate) fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(limits::FRAME_BYTES_MAX))
        .max_frame_size(Some(limits::FRAME_BYTES_MAX))
        .accept_unmasked_frames(false)
}

/// Runs a connection to its end, and tells the hub. Answers why the hub closed it, if it did.
pub(crate) async fn run<S>(socket: WebSocketStream<S>, hub: &HubHandle, metrics: &Arc<Metrics>) -> Option<CloseReason>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(session) = hub.connect() else { return None };
    let Session { id, mut queue, closing } = session;
    metrics.connected();
    let (sink, stream) = socket.split();
    let too_late = async {
        closing.notified().await;
        tokio::time::sleep(CLOSE_GRACE).await;
    };
    let reason = tokio::select! {
        reason = write_all(sink, id, &mut queue, hub) => reason,
        () = read_all(stream, id, hub, metrics) => None,
        () = too_late => None,
    };
    metrics.disconnected();
    hub.tell(Input::Disconnected { session: id });
    reason
}

async fn read_all<S>(mut stream: SplitStream<WebSocketStream<S>>, id: SessionId, hub: &HubHandle, metrics: &Metrics)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = stream.next().await {
        let frame = match message {
            Ok(Message::Binary(bytes)) => {
                metrics.frame_received();
                match codec::decode_device(&bytes) {
                    Ok(Some(frame)) => Ok(frame),
                    // A frame of a later version: skipped.
                    Ok(None) => continue,
                    Err(error) => Err(error),
                }
            }
            Ok(Message::Ping(_) | Message::Pong(_)) => continue,
            Ok(Message::Text(text)) => Err(DecodeError::Malformed(text.len())),
            Ok(Message::Close(_) | Message::Frame(_)) => return,
            Err(Error::Capacity(CapacityError::MessageTooLong { size, .. })) => Err(DecodeError::TooLarge(size)),
            Err(error) => {
                tracing::debug!(session = id.0, %error, "connection broke");
                return;
            }
        };
        let is_last = frame.is_err();
        if hub.frame(Input::FrameReceived { session: id, frame }).await.is_err() {
            return;
        }
        if is_last {
            // The hub refuses it and closes; the writer ends the connection, or the peer does.
            return std::future::pending().await;
        }
    }
}

async fn write_all<S>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    id: SessionId,
    queue: &mut tokio::sync::mpsc::UnboundedReceiver<Outgoing>,
    hub: &HubHandle,
) -> Option<CloseReason>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut next = queue.recv().await;
    let mut bytes = 0;
    loop {
        for _ in 0..GATHER_MAX {
            match next.take() {
                Some(Outgoing::Frame(frame)) => {
                    bytes += frame.len();
                    if !feed(&mut sink, frame).await {
                        return None;
                    }
                }
                Some(Outgoing::Close(reason)) => return close(sink, Some(reason)).await,
                None => break,
            }
            next = queue.try_recv().ok();
        }
        if let Err(error) = sink.flush().await {
            tracing::debug!(session = id.0, %error, "connection broke");
            return None;
        }
        if bytes >= SENT_REPORT_BYTES {
            hub.tell(Input::Sent { session: id, bytes });
            bytes = 0;
        }
        if next.is_none() {
            next = queue.recv().await;
        }
        if next.is_none() {
            // The hub has ended.
            return close(sink, None).await;
        }
    }
}

async fn feed<S>(sink: &mut SplitSink<WebSocketStream<S>, Message>, frame: Bytes) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    sink.feed(Message::Binary(frame)).await.is_ok()
}

async fn close<S>(mut sink: SplitSink<WebSocketStream<S>, Message>, reason: Option<CloseReason>) -> Option<CloseReason>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (code, text) = match reason {
        Some(CloseReason::Refused(_)) => (CloseCode::Policy, "refused"),
        Some(CloseReason::TooSlow) => (CloseCode::Policy, "too slow"),
        Some(CloseReason::NewEpoch) => (CloseCode::Restart, "new epoch"),
        None => (CloseCode::Away, "hub is stopping"),
    };
    let frame = CloseFrame { code, reason: text.into() };
    // The peer may be gone already; either way the connection ends.
    let sent = tokio::time::timeout(CLOSE_GRACE, sink.send(Message::Close(Some(frame)))).await;
    if !matches!(sent, Ok(Ok(()))) {
        tracing::debug!("a closing frame could not be sent");
    }
    reason
}
