//! Open views: what they show, and who reads them.

use std::collections::BTreeMap;

use lockstep_client_core::effect::ActOutcome;
use lockstep_client_core::view::ViewEvent as CoreEvent;
use lockstep_protocol::id::ConversationId;
use lockstep_protocol::refusal::RefusalCode;
use tokio::sync::oneshot;
use tracing::debug;

use crate::error::{Error, failure};
use crate::mailbox::{Inlet, Outlet, mailbox};
use crate::view::{Shown, ViewEvent, from_core};

type Reply = oneshot::Sender<Result<(Shown, Inlet<ViewEvent>), Error>>;

/// Views by conversation. The core has one view of a conversation; here it may have many readers.
#[derive(Debug, Default)]
pub(super) struct Views(BTreeMap<ConversationId, OpenView>);

#[derive(Debug, Default)]
struct OpenView {
    shown: Shown,
    readers: Vec<Outlet<ViewEvent>>,
    /// Handles that wait until it is open.
    waiting: Vec<Reply>,
    /// The core has answered that it is open.
    open: bool,
    /// The core shows it.
    showing: bool,
}

impl OpenView {
    fn attach(&mut self, reply: Reply) {
        let (outlet, inlet) = mailbox();
        if reply.send(Ok((self.shown.clone(), inlet))).is_ok() {
            self.readers.push(outlet);
        }
    }

    fn is_unread(&self) -> bool {
        self.open && self.readers.is_empty() && self.waiting.is_empty()
    }
}

impl Views {
    /// A handle wants a view. True if the core must open it first.
    pub(super) fn wanted(&mut self, conversation: ConversationId, reply: Reply) -> bool {
        let new = !self.0.contains_key(&conversation);
        let view = self.0.entry(conversation).or_default();
        if view.open {
            view.attach(reply);
        } else {
            view.waiting.push(reply);
        }
        new
    }

    /// A reader may be gone. True if the core must close the view: nobody reads it.
    pub(super) fn unwanted(&mut self, conversation: ConversationId) -> bool {
        let Some(view) = self.0.get_mut(&conversation) else { return false };
        view.readers.retain(|reader| !reader.is_closed());
        let unread = view.is_unread();
        if unread {
            self.0.remove(&conversation);
        }
        unread
    }

    /// The core has opened a view, or will not.
    pub(super) fn opened(&mut self, conversation: ConversationId, outcome: ActOutcome) {
        let Some(mut view) = self.0.remove(&conversation) else { return };
        let error = match outcome {
            ActOutcome::Done if view.showing => {
                view.open = true;
                core::mem::take(&mut view.waiting).into_iter().for_each(|reply| view.attach(reply));
                self.0.insert(conversation, view);
                return;
            }
            // Gone in between.
            ActOutcome::Done => ActOutcome::Rejected(RefusalCode::ConversationUnknown),
            outcome => outcome,
        };
        for reply in view.waiting {
            if reply.send(Err(failure(error.clone()))).is_err() {
                debug!("nobody waits for the view any more");
            }
        }
    }

    /// The core says what changed. Answers the conversation if its view must be closed: nobody reads it.
    pub(super) fn changed(&mut self, event: CoreEvent) -> Option<ConversationId> {
        let (conversation, event) = from_core(event);
        let view = self.0.get_mut(&conversation)?;
        view.shown.apply(&event);
        match event {
            ViewEvent::Reset(_) => view.showing = true,
            ViewEvent::Closed => view.showing = false,
            _ => {}
        }
        let shown = &view.shown;
        let afresh = || match event {
            ViewEvent::Closed => vec![ViewEvent::Reset(Box::new(shown.clone())), ViewEvent::Closed],
            _ => vec![ViewEvent::Reset(Box::new(shown.clone()))],
        };
        view.readers.retain(|reader| reader.push(event.clone(), afresh));
        if event == ViewEvent::Closed && view.open {
            self.0.remove(&conversation);
            return None;
        }
        if view.is_unread() {
            self.0.remove(&conversation);
            return Some(conversation);
        }
        None
    }
}
