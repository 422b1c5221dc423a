//! The real hub as a process on a core of its own, with a team, devices and conversations.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use lockstep_e2e::{Hub, program, raw};
use lockstep_protocol::directory::{Conversation, Member, Role};
use lockstep_protocol::frame::{Command, DeviceFrame, Outcome};
use lockstep_protocol::id::{ChangeHash, ConversationId, DocumentId, MemberId};
use lockstep_protocol::limits;
use lockstep_protocol::link::Link;
use tempfile::TempDir;

use crate::corpus::Corpus;
use crate::device::{Device, Thread};
use crate::machine::{self, SERVER_CORE};
use crate::sdk::Heads;

/// A hub closes a session that is silent for longer than some of these.
const PING_EVERY: Duration = Duration::from_secs(10);

/// Facts of a push of history: a third of a segment.
const HISTORY_PUSH: usize = 128;
/// Facts of history that may be unacknowledged: the disk always has work.
const HISTORY_IN_FLIGHT_MAX: usize = 4_096;

/// A hub and its owner's first device.
pub(crate) struct Stage {
    pub(crate) hub: Hub,
    pub(crate) owner: Device,
    folder: TempDir,
    link: Link,
    /// Devices of the newest member.
    devices: usize,
    members: u32,
    conversations: u64,
    /// The head of every segment that [`Stage::history`] wrote.
    pub(crate) heads: BTreeMap<DocumentId, ChangeHash>,
}

/// A hub with nobody but the devices that a bench holds.
pub(crate) struct QuietStage {
    hub: Hub,
    folder: TempDir,
}

impl QuietStage {
    /// The hub's process.
    pub(crate) fn process_id(&self) -> u32 {
        self.hub.process_id()
    }

    /// A folder that goes with the hub.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What it says on `/metrics`.
    pub(crate) async fn metrics(&self) -> BTreeMap<String, f64> {
        raw::metrics(&self.hub.address()).await
    }
}

impl Stage {
    /// Starts a new hub with settings (`key=value`) on its core.
    pub(crate) async fn new(settings: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let command = machine::on_core(&program("lockstep"), SERVER_CORE)?;
        let hub = Hub::create_through(command, &folder.path().join("hub"), settings);
        let link: Link = hub.json(&["pair", "1"])["link"].as_str().context("a link")?.parse()?;
        let owner = Device::enrol(&link).await?;
        Ok(Self { hub, owner, folder, link, devices: 1, members: 1, conversations: 0, heads: BTreeMap::new() })
    }

    /// The owner's device goes; devices and conversations stay.
    pub(crate) async fn without_owner(self) -> anyhow::Result<QuietStage> {
        let Self { hub, mut owner, folder, .. } = self;
        owner.author.close().await?;
        Ok(QuietStage { hub, folder })
    }

    /// The hub stops; its folder stays as long as what is answered.
    pub(crate) fn stop(self) -> TempDir {
        let Self { hub, folder, .. } = self;
        drop(hub.stop());
        folder
    }

    /// A folder that goes with the hub.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A pairing link, for a member that has room for one more device; those of role `owner` and `manager` see
    /// everything.
    pub(crate) async fn link(&mut self, role: Role) -> anyhow::Result<Link> {
        // Apart from the first member, whose devices are the caller's own.
        if self.members == 1 || self.devices == limits::SESSIONS_PER_MEMBER_MAX {
            (self.members, self.devices) = (self.members + 1, 0);
            let member = Member { id: MemberId(self.members), name: format!("Member {}", self.members), role };
            self.owner.command(Command::MemberAdd(member)).await?;
        }
        self.devices += 1;
        let Outcome::Invited { code, .. } =
            self.owner.command(Command::Invite { member: MemberId(self.members) }).await?
        else {
            bail!("no invitation");
        };
        Ok(Link { code, ..self.link.clone() })
    }

    /// Enrols a device that sees everything.
    pub(crate) async fn device(&mut self) -> anyhow::Result<Device> {
        Device::enrol(&self.link(Role::Manager).await?).await
    }

    /// Enrols a device that sees only what it is assigned to.
    pub(crate) async fn agent_device(&mut self) -> anyhow::Result<Device> {
        self.devices = limits::SESSIONS_PER_MEMBER_MAX;
        Device::enrol(&self.link(Role::Agent).await?).await
    }

    /// Opens a conversation that owners and managers see.
    pub(crate) async fn conversation(&mut self) -> anyhow::Result<ConversationId> {
        self.conversation_of(&[]).await
    }

    /// Opens a conversation that is assigned to members.
    pub(crate) async fn conversation_of(&mut self, assigned: &[MemberId]) -> anyhow::Result<ConversationId> {
        self.conversations += 1;
        let mut id = ConversationId([0xc0; 16]);
        id.0[8..].copy_from_slice(&self.conversations.to_be_bytes());
        let conversation =
            Conversation { id, customer: "Customer".into(), service: None, assigned: assigned.to_vec(), keep: None };
        self.owner.command(Command::ConversationOpen(conversation)).await?;
        Ok(id)
    }

    /// Writes `messages` of the corpus into each of these conversations as fast as the hub takes them; answers what the
    /// owner's device can go on writing, and the bytes of text.
    pub(crate) async fn history(
        &mut self,
        conversations: &[ConversationId],
        messages: usize,
        corpus: &mut Corpus,
    ) -> anyhow::Result<(Vec<Thread>, u64)> {
        let mut bytes = 0;
        let mut threads = Vec::new();
        for conversation in conversations {
            let mut thread = self.owner.author.thread(*conversation)?;
            thread.random_ids = true;
            let body = || {
                let body = corpus.body();
                bytes += body.len() as u64;
                body
            };
            self.write(&mut thread, messages, body).await?;
            thread.random_ids = false;
            self.heads.extend(thread.heads.clone());
            threads.push(thread);
        }
        Ok((threads, bytes))
    }

    /// Writes messages into one conversation as fast as the hub takes them.
    pub(crate) async fn write(
        &mut self,
        thread: &mut Thread,
        messages: usize,
        mut body: impl FnMut() -> String,
    ) -> anyhow::Result<()> {
        let Device { author, reader, .. } = &mut self.owner;
        let (mut left, mut in_flight) = (messages, 0);
        while left > 0 {
            let bodies: Vec<String> = (0..left.min(HISTORY_PUSH)).map(|_| body()).collect();
            left -= bodies.len();
            in_flight += bodies.len();
            author.notes(thread, bodies).await?;
            while in_flight > HISTORY_IN_FLIGHT_MAX {
                in_flight -= reader.acknowledged().await?;
            }
        }
        while in_flight > 0 {
            in_flight -= reader.acknowledged().await?;
        }
        Ok(())
    }

    /// What a device that holds the whole history has.
    pub(crate) fn expected(&self) -> Heads {
        crate::sdk::expected(&self.heads)
    }

    /// Waits for work that blocks, while the owner's device keeps its session alive.
    pub(crate) async fn meanwhile<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let mut work = tokio::task::spawn_blocking(work);
        loop {
            match tokio::time::timeout(PING_EVERY, &mut work).await {
                Ok(done) => return done?,
                Err(_) => self.owner.author.send(&DeviceFrame::Ping {}).await?,
            }
        }
    }
}
