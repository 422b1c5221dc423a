//! The real hub as a process on a core of its own, with a team, devices and conversations.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use lockstep_e2e::{Hub, raw};
use lockstep_protocol::directory::{Conversation, Member, Role};
use lockstep_protocol::frame::{Command, DeviceFrame, HubFrame, Outcome};
use lockstep_protocol::id::{ChangeHash, ConversationId, DocumentId, MemberId};
use lockstep_protocol::limits;
use lockstep_protocol::link::Link;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::corpus::Corpus;
use crate::device::{Device, Thread, placed};
use crate::machine::{self, SERVER_CORE};
use crate::sdk::Heads;

/// A hub closes a session that is silent for longer than some of these.
const PING_EVERY: Duration = Duration::from_secs(10);

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
    _folder: TempDir,
}

impl QuietStage {
    /// The hub's process.
    pub(crate) fn process_id(&self) -> u32 {
        self.hub.process_id()
    }
}

impl Stage {
    /// Starts a new hub with settings (`key=value`) on its core.
    pub(crate) async fn new(settings: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let hub = Hub::create_with(&folder.path().join("hub"), settings);
        machine::pin(hub.process_id(), SERVER_CORE)?;
        let link: Link = hub.json(&["pair", "1"])["link"].as_str().context("a link")?.parse()?;
        let owner = Device::enrol(&link).await?;
        Ok(Self { hub, owner, folder, link, devices: 1, members: 1, conversations: 0, heads: BTreeMap::new() })
    }

    /// The owner's device goes; devices and conversations stay.
    pub(crate) async fn without_owner(self) -> anyhow::Result<QuietStage> {
        let Self { hub, mut owner, folder, .. } = self;
        owner.author.close().await?;
        Ok(QuietStage { hub, _folder: folder })
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

    /// Opens a conversation.
    pub(crate) async fn conversation(&mut self) -> anyhow::Result<ConversationId> {
        self.conversations += 1;
        let mut id = ConversationId([0xc0; 16]);
        id.0[8..].copy_from_slice(&self.conversations.to_be_bytes());
        let conversation = Conversation { id, customer: "Customer".into(), service: None, assigned: Vec::new() };
        self.owner.command(Command::ConversationOpen(conversation)).await?;
        Ok(id)
    }

    /// Writes `messages` of the corpus into each of these conversations as fast as the hub takes them; answers their
    /// bytes of text.
    pub(crate) async fn history(
        &mut self,
        conversations: &[ConversationId],
        messages: usize,
        corpus: &mut Corpus,
    ) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for conversation in conversations {
            let mut thread = self.owner.author.thread(*conversation)?;
            let body = || {
                let body = corpus.body();
                bytes += body.len() as u64;
                body
            };
            self.write(&mut thread, messages, body).await?;
            self.heads.append(&mut thread.heads);
        }
        Ok(bytes)
    }

    /// Writes messages into one conversation as fast as the hub takes them.
    pub(crate) async fn write(
        &mut self,
        thread: &mut Thread,
        messages: usize,
        mut body: impl FnMut() -> String,
    ) -> anyhow::Result<()> {
        /// Facts that may be unacknowledged: the disk always has work.
        const IN_FLIGHT_MAX: usize = 4_096;
        let (mut left, mut in_flight) = (messages, 0);
        while left > 0 {
            let bodies: Vec<String> = (0..left.min(128)).map(|_| body()).collect();
            left -= bodies.len();
            in_flight += bodies.len();
            self.owner.author.notes(thread, bodies).await?;
            while in_flight > IN_FLIGHT_MAX {
                in_flight -= self.owner.acknowledged_some().await?;
            }
        }
        while in_flight > 0 {
            in_flight -= self.owner.acknowledged_some().await?;
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

    /// CPU time that the hub has used.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        machine::cpu_time(self.hub.process_id())
    }

    /// What the hub says on `/metrics`, those without labels, by name without prefix.
    pub(crate) async fn metrics(&self) -> anyhow::Result<BTreeMap<String, f64>> {
        let mut tls = raw::tls(&self.hub.address()).await;
        tls.write_all(b"GET /metrics HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n").await?;
        let mut text = Vec::new();
        tls.read_to_end(&mut text).await?;
        let text = String::from_utf8(text)?;
        let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
        Ok(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?))).collect())
    }
}

impl Device {
    /// Waits for one Ack and answers how many facts it placed.
    async fn acknowledged_some(&mut self) -> anyhow::Result<usize> {
        loop {
            if let HubFrame::Ack { results, .. } = self.reader.next().await? {
                return placed(&results);
            }
        }
    }
}
