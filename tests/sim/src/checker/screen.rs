//! Open views: what the single events of a view add up to is what the device would show if it looked at everything anew.

use std::collections::BTreeMap;

use lockstep_client_core::device::Device;
use lockstep_client_core::view::{MessageView, ViewEvent};
use lockstep_protocol::id::ConversationId;

use super::Violation;

/// A user interface that believes every event.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    shown: BTreeMap<ConversationId, Vec<MessageView>>,
}

impl Screen {
    /// Carries out an event.
    ///
    /// # Errors
    /// Its position does not exist, or its view is not open.
    pub fn take(&mut self, event: ViewEvent) -> Result<(), Violation> {
        let (conversation, done) = match event {
            ViewEvent::Opened { conversation, messages } => {
                self.shown.insert(conversation, messages);
                return Ok(());
            }
            ViewEvent::Closed { conversation } => {
                self.shown.remove(&conversation);
                return Ok(());
            }
            ViewEvent::Inserted { conversation, at, message } => {
                let shown = self.shown.get_mut(&conversation).filter(|shown| at <= shown.len());
                (conversation, shown.map(|shown| shown.insert(at, message)).is_some())
            }
            ViewEvent::Changed { conversation, at, message } => {
                let place = self.shown.get_mut(&conversation).and_then(|shown| shown.get_mut(at));
                (conversation, place.map(|place| *place = message).is_some())
            }
            ViewEvent::Removed { conversation, at } => {
                let shown = self.shown.get_mut(&conversation).filter(|shown| at < shown.len());
                (conversation, shown.map(|shown| shown.remove(at)).is_some())
            }
            ViewEvent::Lease { .. } | ViewEvent::Markers { .. } | ViewEvent::Card { .. } => return Ok(()),
        };
        if done { Ok(()) } else { Violation::fail("screen", format!("an event of {conversation:?} fits no position")) }
    }

    /// Every open view shows what it should.
    ///
    /// # Errors
    /// One does not.
    pub fn check(&self, at: usize, device: &Device) -> Result<(), Violation> {
        for (conversation, shown) in &self.shown {
            let anew = device.shown_anew(*conversation);
            if *shown != anew {
                let differs = shown.iter().zip(&anew).position(|(shown, anew)| shown != anew);
                let (shown, anew) = (shown.len(), anew.len());
                let text = format!(
                    "d{at} shows {shown} messages of {conversation:?}, anew it would {anew}; first difference {differs:?}"
                );
                return Violation::fail("screen", text);
            }
        }
        Ok(())
    }
}
