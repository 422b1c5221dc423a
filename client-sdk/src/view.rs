//! Live views of conversations.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use lockstep_client_core::view::{MessageView, ViewEvent as CoreEvent};
use lockstep_protocol::frame::Marker;
use lockstep_protocol::id::{ConversationId, MemberId, MessageId};
use tokio::sync::mpsc::WeakSender;

use crate::driver::Request;
use crate::error::Error;
use crate::mailbox::Inlet;

/// What an open view shows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// Messages, in order of id.
    pub messages: Vec<MessageView>,
    /// Who else types a reply.
    pub typing: Option<MemberId>,
    /// Read positions, in ascending order of member.
    pub markers: Vec<Marker>,
    /// The card's fields with their values, in order of name.
    pub fields: Vec<(String, String)>,
    /// The card's labels that are on, in order.
    pub labels: Vec<String>,
}

/// A change of an open view. `at` is a position in [`Shown::messages`], before the change for `Removed`, after it for
/// the others.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ViewEvent {
    /// Everything anew: the reader was too slow for the single changes, or the view was opened again.
    Reset(Box<Shown>),
    /// A message appeared.
    Inserted {
        /// Its position.
        at: usize,
        /// The message.
        message: Box<MessageView>,
    },
    /// A message changed.
    Changed {
        /// Its position.
        at: usize,
        /// The message.
        message: Box<MessageView>,
    },
    /// A message disappeared.
    Removed {
        /// Its position before.
        at: usize,
    },
    /// Someone else began (or goes on) typing a reply; none when it ended.
    Typing(Option<MemberId>),
    /// Read positions changed; all of them.
    Markers(Vec<Marker>),
    /// The card changed.
    Card {
        /// Its fields with their values, in order of name.
        fields: Vec<(String, String)>,
        /// Its labels that are on, in order.
        labels: Vec<String>,
    },
    /// The conversation is visible no more, or the device is closed. Nothing follows.
    Closed,
}

impl Shown {
    /// A message by its id.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<&MessageView> {
        let at = self.messages.binary_search_by_key(&id, |message| message.id).ok()?;
        self.messages.get(at)
    }

    /// Carries out one event.
    pub fn apply(&mut self, event: &ViewEvent) {
        match event {
            ViewEvent::Reset(shown) => self.clone_from(shown),
            ViewEvent::Inserted { at, message } => {
                let at = (*at).min(self.messages.len());
                self.messages.insert(at, (**message).clone());
            }
            ViewEvent::Changed { at, message } => {
                if let Some(place) = self.messages.get_mut(*at) {
                    place.clone_from(message);
                }
            }
            ViewEvent::Removed { at } => {
                if *at < self.messages.len() {
                    self.messages.remove(*at);
                }
            }
            ViewEvent::Typing(holder) => self.typing = *holder,
            ViewEvent::Markers(markers) => self.markers.clone_from(markers),
            ViewEvent::Card { fields, labels } => {
                self.fields.clone_from(fields);
                self.labels.clone_from(labels);
            }
            ViewEvent::Closed => {}
        }
    }
}

/// The conversation that an event of the core is about, and the event. A list anew comes as
/// [`ViewEvent::Reset`] with nothing but its messages.
pub(crate) fn from_core(event: CoreEvent) -> (ConversationId, ViewEvent) {
    match event {
        CoreEvent::Opened { conversation, messages } => {
            (conversation, ViewEvent::Reset(Box::new(Shown { messages, ..Shown::default() })))
        }
        CoreEvent::Inserted { conversation, at, message } => {
            (conversation, ViewEvent::Inserted { at, message: Box::new(message) })
        }
        CoreEvent::Changed { conversation, at, message } => {
            (conversation, ViewEvent::Changed { at, message: Box::new(message) })
        }
        CoreEvent::Removed { conversation, at } => (conversation, ViewEvent::Removed { at }),
        CoreEvent::Lease { conversation, holder } => (conversation, ViewEvent::Typing(holder)),
        CoreEvent::Markers { conversation, markers } => (conversation, ViewEvent::Markers(markers)),
        CoreEvent::Card { conversation, fields, labels } => (conversation, ViewEvent::Card { fields, labels }),
        CoreEvent::Closed { conversation } => (conversation, ViewEvent::Closed),
    }
}

/// A conversation on the screen: what it shows now, and a stream of what changes. Dropped, it is closed.
///
/// What [`View::shown`] answers changes only when an event is read, so positions in events always fit it. Reading may
/// stop for any time: a reader that is too slow gets one [`ViewEvent::Reset`] instead of what it missed.
#[derive(Debug)]
pub struct View {
    conversation: ConversationId,
    shown: Shown,
    events: Inlet<ViewEvent>,
    closed: bool,
    driver: WeakSender<Request>,
}

impl View {
    pub(crate) fn new(
        conversation: ConversationId,
        (shown, events): (Shown, Inlet<ViewEvent>),
        driver: WeakSender<Request>,
    ) -> Self {
        Self { conversation, shown, events, closed: false, driver }
    }

    /// Which conversation.
    #[must_use]
    pub const fn conversation(&self) -> ConversationId {
        self.conversation
    }

    /// What it shows, as of the newest event that was read.
    #[must_use]
    pub const fn shown(&self) -> &Shown {
        &self.shown
    }

    /// The messages that it shows, in order of id.
    #[must_use]
    pub fn messages(&self) -> &[MessageView] {
        &self.shown.messages
    }

    /// The next change, already carried out in [`View::shown`]. None after [`ViewEvent::Closed`].
    pub async fn next(&mut self) -> Option<ViewEvent> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// Reads events until what is shown is as wanted.
    ///
    /// # Errors
    /// `Closed` if the view is closed before.
    pub async fn until(&mut self, mut wanted: impl FnMut(&Shown) -> bool) -> Result<&Shown, Error> {
        while !wanted(&self.shown) {
            if self.next().await.is_none() {
                return Err(Error::Closed);
            }
        }
        Ok(&self.shown)
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<Option<ViewEvent>> {
        if self.closed {
            return Poll::Ready(None);
        }
        let event = match self.events.poll(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(event) => event.unwrap_or(ViewEvent::Closed),
        };
        self.closed = event == ViewEvent::Closed;
        self.shown.apply(&event);
        Poll::Ready(Some(event))
    }
}

impl Stream for View {
    type Item = ViewEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ViewEvent>> {
        self.get_mut().poll(context)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.events.close();
        // If the driver has no room for this now, it finds out at the conversation's next change.
        if let Some(driver) = self.driver.upgrade() {
            drop(driver.try_send(Request::Closed(self.conversation)));
        }
    }
}
