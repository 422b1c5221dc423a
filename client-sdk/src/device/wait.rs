//! Waiting for the device to be somewhere: on events, never on time.

use lockstep_protocol::id::ConversationId;

use super::Device;
use crate::error::Error;
use crate::status::{Conversation, ConversationList, Status, WatchedList};

/// Waiting. None of these gives up by itself, since a hub may be away for days; wrap them in
/// `tokio::time::timeout` where that is wanted.
///
/// All fail with `Closed`, `StoreFailed`, `Stopped` (the hub does not let this device in), `WrongHub` and
/// `UpdateNeeded`: then what is waited for does not come by itself.
impl Device {
    /// Until the hub has confirmed everything that was written here, and everything that it has for this device is
    /// here.
    ///
    /// # Errors
    /// See above.
    pub async fn synced(&self) -> Result<(), Error> {
        self.until(|status| status.synced).await.map(drop)
    }

    /// Until the hub lets the device in.
    ///
    /// # Errors
    /// See above.
    pub async fn online(&self) -> Result<(), Error> {
        self.until(|status| status.online).await.map(drop)
    }

    /// Until the status is as wanted.
    ///
    /// # Errors
    /// See above.
    pub async fn until(&self, mut wanted: impl FnMut(&Status) -> bool) -> Result<Status, Error> {
        let mut status = self.watched.status.clone();
        loop {
            {
                let now = status.borrow_and_update();
                if wanted(&now) {
                    return Ok(now.clone());
                }
                if now.store_failed {
                    return Err(Error::StoreFailed);
                }
                if let Some(code) = now.stopped {
                    return Err(Error::Stopped(code));
                }
                if now.wrong_hub {
                    return Err(Error::WrongHub);
                }
                if now.update_needed {
                    return Err(Error::UpdateNeeded);
                }
            }
            status.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// Until the status changes from what it is now.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn status_changed(&self) -> Result<Status, Error> {
        let mut status = self.watched.status.clone();
        status.mark_unchanged();
        status.changed().await.map_err(|_| Error::Closed)?;
        let now = status.borrow().clone();
        Ok(now)
    }

    /// Until a conversation is visible.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn conversation(&self, id: ConversationId) -> Result<std::sync::Arc<Conversation>, Error> {
        let mut view = self.watch_conversations();
        loop {
            if let Some(found) = view.current().iter().find(|conversation| conversation.id == id) {
                return Ok(found.clone());
            }
            view.changed().await.ok_or(Error::Closed)?;
        }
    }
}

/// The list of conversations, live.
#[derive(Clone, Debug)]
pub struct ConversationsView(WatchedList);

impl ConversationsView {
    pub(super) const fn new(list: WatchedList) -> Self {
        Self(list)
    }

    /// The list now, newest first.
    #[must_use]
    pub fn current(&mut self) -> ConversationList {
        self.0.current()
    }

    /// Waits until the list differs from what was read last; changes in between are passed over. None when the device
    /// is closed.
    pub async fn changed(&mut self) -> Option<ConversationList> {
        self.0.changed().await?;
        Some(self.current())
    }
}
