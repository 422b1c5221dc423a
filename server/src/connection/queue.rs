//! What one connection's writer is to send: frames from the hub in order, and what the reading half has to answer by
//! itself (WebSocket pongs). Takes no memory while there is nothing to send, unlike a channel, which holds a block of
//! places for every idle device.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lockstep_core::effect::CloseReason;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

/// Bytes of automatic answers that may wait: a peer that asks for more and does not read is broken.
const REPLY_BYTES_MAX: usize = 4 * 1024;

/// Why nothing comes after what was queued before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The hub closes the connection.
    Closed(CloseReason),
    /// The hub itself has ended.
    HubEnded,
}

/// Everything that waits, at one moment.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Bytes of frames that wait for any device, until they are written or given up.
    queued: Gauge,
    bytes: i64,
    /// Frames from the hub, in order.
    pub(crate) frames: VecDeque<Bytes>,
    /// Whole WebSocket frames, encoded.
    pub(crate) replies: Vec<u8>,
    /// What follows on them.
    pub(crate) end: Option<End>,
}

impl Waiting {
    fn new(queued: Gauge) -> Self {
        Self { queued, bytes: 0, frames: VecDeque::new(), replies: Vec::new(), end: None }
    }

    fn push(&mut self, frame: Bytes) {
        let bytes = i64::try_from(frame.len()).unwrap_or(i64::MAX);
        self.bytes += bytes;
        self.queued.inc_by(bytes);
        self.frames.push_back(frame);
    }

    fn take(&mut self) -> Self {
        let nothing = Self::new(self.queued.clone());
        std::mem::replace(self, nothing)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.queued.dec_by(self.bytes);
    }
}

/// See the module. Unbounded here: the core bounds what it sends by the credit that `Sent` returns.
#[derive(Debug)]
pub(crate) struct SendQueue {
    waiting: Mutex<Waiting>,
    changed: Notify,
    ended: Notify,
}

impl SendQueue {
    /// An empty queue, counted in the gauge with all others.
    pub(crate) fn new(queued: Gauge) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::new(Waiting::new(queued)), changed: Notify::new(), ended: Notify::new() })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes whatever waits, once there is something.
    pub(crate) async fn take(&self) -> Waiting {
        loop {
            let waiting = self.waiting().take();
            if !waiting.frames.is_empty() || !waiting.replies.is_empty() || waiting.end.is_some() {
                return waiting;
            }
            self.changed.notified().await;
        }
    }

    /// Waits until the hub has closed the connection, also while its writer waits for a peer that does not read.
    pub(crate) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Adds an answer of the reading half; false if too many wait.
    pub(crate) fn reply(&self, bytes: &[u8]) -> bool {
        let mut waiting = self.waiting();
        let fits = waiting.replies.len() + bytes.len() <= REPLY_BYTES_MAX;
        if fits {
            waiting.replies.extend_from_slice(bytes);
            self.changed.notify_one();
        }
        fits
    }
}

/// The hub's end of a queue. Dropped, the connection ends after what was queued.
#[derive(Debug)]
pub(crate) struct Sender(Arc<SendQueue>);

impl Sender {
    /// The hub's end of a new queue.
    pub(crate) fn new(queue: &Arc<SendQueue>) -> Self {
        Self(Arc::clone(queue))
    }

    /// Queues a frame.
    pub(crate) fn send(&self, frame: Bytes) {
        self.0.waiting().push(frame);
        self.0.changed.notify_one();
    }

    /// Closes the connection after what was queued before.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.end(End::Closed(reason));
    }

    fn end(&self, end: End) {
        self.0.waiting().end.get_or_insert(end);
        self.0.changed.notify_one();
        self.0.ended.notify_one();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.end(End::HubEnded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_queued_comes_in_order_and_the_first_end_counts() {
        let queued = Gauge::default();
        let queue = SendQueue::new(queued.clone());
        let sender = Sender::new(&queue);
        let taker = Arc::clone(&queue);
        let waits = tokio::spawn(async move { taker.take().await });
        tokio::task::yield_now().await;
        sender.send(Bytes::from_static(b"one"));
        assert_eq!(waits.await.unwrap().frames, ["one"]);
        sender.send(Bytes::from_static(b"two"));
        sender.send(Bytes::from_static(b"three"));
        assert!(queue.reply(b"pong"));
        assert!(!queue.reply(&[0; REPLY_BYTES_MAX]));
        sender.close(CloseReason::TooSlow);
        drop(sender);
        assert_eq!(queued.get(), 8);
        let waiting = queue.take().await;
        assert_eq!(queued.get(), 8, "until it is written");
        assert_eq!(waiting.frames, ["two", "three"]);
        assert_eq!(waiting.replies, b"pong");
        assert_eq!(waiting.end, Some(End::Closed(CloseReason::TooSlow)));
        drop(waiting);
        assert_eq!(queued.get(), 0);
        queue.ended().await;
    }
}
