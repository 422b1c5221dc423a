//! Live messages to a real device with an open view: what they cost it, and how long they take.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lockstep_protocol::id::ConversationId;

use crate::device::Thread;
use crate::live::BODY_BYTES;
use crate::load::Load;
use crate::sdk::{self, Heads, SdkDevice};
use crate::stage::Stage;

/// One author's conversation.
pub(crate) struct Live {
    thread: Thread,
}

/// What a round found.
pub(crate) struct LiveRound {
    /// CPU time of the device's process a message, all threads, milliseconds.
    pub(crate) cpu_ms: f64,
    /// From when a message was to leave to the view's event, milliseconds.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Live {
    /// Begins to write into an empty conversation.
    pub(crate) fn begin(stage: &Stage, conversation: ConversationId) -> anyhow::Result<Self> {
        Ok(Self { thread: stage.owner.author.thread(conversation)? })
    }

    /// What a device that holds the conversation has.
    pub(crate) fn expected(&self) -> Heads {
        sdk::expected(&self.thread.heads)
    }

    /// Writes history as fast as the hub takes it.
    pub(crate) async fn write(&mut self, stage: &mut Stage, messages: usize) -> anyhow::Result<()> {
        stage.write(&mut self.thread, messages, || "x".repeat(BODY_BYTES)).await
    }

    /// Writes one message after another while the device shows the conversation.
    pub(crate) async fn round(
        &mut self,
        stage: &mut Stage,
        device: &mut SdkDevice,
        load: Load,
    ) -> anyhow::Result<LiveRound> {
        let before = device.usage()?;
        device.expect(load.messages)?;
        let begin = Instant::now() + Duration::from_millis(50);
        let begin_us = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_millis(50);
        let mut ticks = load.ticks(begin);
        while ticks.recv().await.is_some() {
            stage.owner.author.notes(&mut self.thread, vec!["x".repeat(BODY_BYTES)]).await?;
        }
        stage.owner.reader.all_acknowledged(load.messages).await?;
        let arrived = tokio::task::block_in_place(|| device.arrived())?;
        let arrived: Vec<Instant> =
            arrived.into_iter().map(|at| begin + Duration::from_micros(at).saturating_sub(begin_us)).collect();
        let (p50_ms, p99_ms) = load.percentiles(begin, &arrived);
        let cpu_ns = device.usage()?.cpu_ns - before.cpu_ns;
        Ok(LiveRound { cpu_ms: cpu_ns as f64 / 1e6 / load.messages as f64, p50_ms, p99_ms })
    }
}
