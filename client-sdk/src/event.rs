//! What a person or program should know, as a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, unfold};
use futures_util::{Stream, StreamExt};
use lockstep_client_core::effect::Notice;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::connection::ConnectTrouble;

/// Events that wait for the slowest reader; older ones are dropped, and counted for that reader.
pub(crate) const EVENTS_MAX: usize = 1_024;

/// Something that a person or program should know.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The device says something.
    Notice(Notice),
    /// A connection could not be made, or broke; the next attempt comes by itself.
    Trouble(ConnectTrouble),
    /// The store cannot be written: the device has stopped. Why, in words.
    StoreFailed(String),
    /// This reader was too slow, and this many events were dropped for it.
    Missed(u64),
}

/// The device's events from the call of [`Device::events`](crate::Device::events) on. Ends when the device is closed.
pub struct Events(BoxStream<'static, Event>);

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        let next = async |mut receiver: broadcast::Receiver<Event>| match receiver.recv().await {
            Ok(event) => Some((event, receiver)),
            Err(RecvError::Lagged(missed)) => Some((Event::Missed(missed), receiver)),
            Err(RecvError::Closed) => None,
        };
        Self(unfold(receiver, next).boxed())
    }

    /// The next event; none when the device is closed.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.next().await
    }
}

impl core::fmt::Debug for Events {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Events")
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_next_unpin(context)
    }
}
