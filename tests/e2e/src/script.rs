//! A hub with a small team and devices of it.

use std::path::PathBuf;

use lockstep_client::{ConversationId, Device, Link, MessageState, View};
use tempfile::TempDir;

use crate::process::{Hub, PATIENCE};

/// Waits for a step, but not for ever.
///
/// # Panics
/// If it does not come in time.
pub async fn within<T>(what: &str, step: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, step).await {
        Ok(done) => done,
        Err(_) => panic!("{what} did not happen in {} s", PATIENCE.as_secs()),
    }
}

/// A hub with an owner (1), two agents (2, 3) and a service account (9), in a folder of its own.
#[derive(Debug)]
pub struct Team {
    /// The hub.
    pub hub: Hub,
    folder: TempDir,
    devices: usize,
}

impl Team {
    /// Makes it.
    ///
    /// # Panics
    /// If the hub does not do what it should.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let hub = Hub::create(&folder.path().join("hub"));
        for (number, name, role) in
            [("2", "Anna Agent", "agent"), ("3", "Ben Agent", "agent"), ("9", "Chat", "service")]
        {
            hub.json(&["member", "add", name, "--role", role, "--id", number]);
        }
        Self { hub, folder, devices: 0 }
    }

    /// A folder for another device.
    pub fn home(&mut self) -> PathBuf {
        self.devices += 1;
        self.folder.path().join(format!("device-{}", self.devices))
    }

    /// A pairing link for a member.
    ///
    /// # Panics
    /// If the hub gives none.
    #[must_use]
    pub fn link(&self, member: u32) -> Link {
        let pairing = self.hub.json(&["pair", &member.to_string()]);
        pairing["link"].as_str().and_then(|link| link.parse().ok()).expect("a pairing link")
    }

    /// Enrols another device of a member.
    ///
    /// # Panics
    /// If the hub does not let it in.
    pub async fn device(&mut self, member: u32) -> Device {
        let (home, link) = (self.home(), self.link(member));
        let device = within("enrolment", Device::enrol(home, &link, "test")).await.expect("the device is enrolled");
        within("the first catch-up", device.synced()).await.expect("the device catches up");
        device
    }

    /// Opens a conversation that both agents and the service account see.
    ///
    /// # Panics
    /// If the hub does not take it.
    #[must_use]
    pub fn conversation(&self) -> ConversationId {
        let opened = self.hub.json(&["conversation", "new", "Customer", "--service", "9", "--assign", "2,3"]);
        let id = opened["id"].as_str().expect("an id");
        let byte = |at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).expect("hex");
        ConversationId(std::array::from_fn(byte))
    }

    /// Opens a conversation on a device, when it has come there.
    ///
    /// # Panics
    /// If it does not come.
    pub async fn open(&self, device: &Device, conversation: ConversationId) -> View {
        within("the conversation", device.conversation(conversation)).await.expect("the conversation is visible");
        within("the view", device.open_conversation(conversation)).await.expect("the view opens")
    }
}

impl Default for Team {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a message is confirmed and not held back.
#[must_use]
pub fn is_sent(state: &MessageState) -> bool {
    matches!(state, MessageState::Sent | MessageState::SentAnyway)
}
