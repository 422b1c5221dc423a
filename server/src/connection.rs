//! One WebSocket: frames in to the hub, frames out from it. One task a connection, which ends with either side.

mod halves;
pub(crate) mod queue;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lockstep_core::effect::CloseReason;
use lockstep_core::input::{Input, SessionId};
use lockstep_protocol::codec::{self, DecodeError};
use lockstep_protocol::limits;
use tokio::io::{AsyncRead, AsyncWrite, WriteHalf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, error::CapacityError};

use crate::driver::{HubHandle, Session};
use crate::metrics::Metrics;
use halves::Reading;
use queue::{End, SendQueue};

/// Read buffer of a connection, bytes: allocated for each one, so small.
const READ_BUFFER_BYTES: usize = 1024;
/// A connection that the hub closes gets so long to take what was sent before.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Bytes written before the hub is told so: telling it of every frame cost a tenth of a fan-out. Less than this is never
/// returned, so it must be far below what the hub takes for a lagging session.
const SENT_REPORT_BYTES: usize = limits::SESSION_QUEUE_BYTES_MAX / 16;

const _: () = assert!(SENT_REPORT_BYTES * 4 <= limits::SESSION_QUEUE_BYTES_MAX);

/// The limits of a WebSocket: the library's own defaults are unbounded or wasteful.
#[must_use]
fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(limits::FRAME_BYTES_MAX))
        .max_frame_size(Some(limits::FRAME_BYTES_MAX))
        .accept_unmasked_frames(false)
}

/// Runs a connection to its end, and tells the hub. Answers why the hub closed it, if it did.
pub(crate) async fn run<S>(stream: S, hub: &HubHandle, metrics: &Arc<Metrics>) -> Option<CloseReason>
where
    S: AsyncRead + AsyncWrite,
{
    let Ok(Session { id, queue }) = hub.connect(metrics.queued()) else { return None };
    metrics.connected();
    let (reading, writing) = tokio::io::split(stream);
    let reading = Reading { stream: reading, queue: Arc::clone(&queue) };
    let socket = WebSocketStream::from_raw_socket(reading, Role::Server, Some(websocket_config())).await;
    let too_late = async {
        queue.ended().await;
        tokio::time::sleep(CLOSE_GRACE).await;
    };
    let reason = tokio::select! {
        reason = write_all(writing, id, &queue, hub) => reason,
        () = read_all(socket, id, hub, metrics) => None,
        () = too_late => None,
    };
    metrics.disconnected();
    hub.tell(Input::Disconnected { session: id });
    reason
}

async fn read_all<S>(mut socket: WebSocketStream<Reading<S>>, id: SessionId, hub: &HubHandle, metrics: &Metrics)
where
    S: AsyncRead + AsyncWrite,
{
    while let Some(message) = socket.next().await {
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

/// Writes what the queue holds until the connection ends; answers why the hub closed it.
async fn write_all<S>(
    mut stream: WriteHalf<S>,
    id: SessionId,
    queue: &SendQueue,
    hub: &HubHandle,
) -> Option<CloseReason>
where
    S: AsyncRead + AsyncWrite,
{
    let mut unreported = 0;
    loop {
        let waiting = queue.take().await;
        match halves::write(&mut stream, &waiting).await {
            Ok(bytes) => unreported += bytes,
            Err(error) => {
                tracing::debug!(session = id.0, %error, "connection broke");
                return None;
            }
        }
        if let Some(end) = waiting.end {
            return close(stream, end).await;
        }
        if unreported >= SENT_REPORT_BYTES {
            hub.tell(Input::Sent { session: id, bytes: unreported });
            unreported = 0;
        }
    }
}

async fn close<S>(mut stream: WriteHalf<S>, end: End) -> Option<CloseReason>
where
    S: AsyncRead + AsyncWrite,
{
    let (code, text) = match end {
        End::Closed(CloseReason::Refused(_)) => (CloseCode::Policy, "refused"),
        End::Closed(CloseReason::TooSlow) => (CloseCode::Policy, "too slow"),
        End::Closed(CloseReason::NewEpoch) => (CloseCode::Restart, "new epoch"),
        End::HubEnded => (CloseCode::Away, "hub is stopping"),
    };
    let frame = CloseFrame { code, reason: text.into() };
    // The peer may be gone already; either way the connection ends.
    let sent = tokio::time::timeout(CLOSE_GRACE, halves::write_close(&mut stream, frame)).await;
    if !matches!(sent, Ok(Ok(()))) {
        tracing::debug!("a closing frame could not be sent");
    }
    match end {
        End::Closed(reason) => Some(reason),
        End::HubEnded => None,
    }
}
