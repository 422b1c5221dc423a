//! `commit`: durable acknowledgements a second when devices always have more to say, and how many share a sync.
//!
//! The floor writes as many bytes with as many syncs to a file on the same disk: what group commit could reach if
//! judging, deriving and sending cost nothing.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use lockstep_protocol::id::ConversationId;
use serde_json::json;

use crate::device::Device;
use crate::live::BODY_BYTES;
use crate::report::{Bound, Report, Rounds};
use crate::stage::{QuietStage, Stage};
use crate::{Common, PATIENCE};

#[derive(Args)]
pub(crate) struct Commit {
    /// Devices that write, each into a conversation of its own
    #[arg(long, default_value_t = 8)]
    devices: usize,
    /// Messages a device and round, one a push
    #[arg(long, default_value_t = 3_000)]
    messages: usize,
    /// Pushes of a device that may wait for their Ack
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What an entry takes in the write-ahead log with its rows, bytes: the floor writes as many.
const ENTRY_LOG_BYTES: usize = 1_024;

pub(crate) async fn measure(commit: &Commit) -> anyhow::Result<Report> {
    let rounds = if commit.common.quick { 3 } else { commit.rounds };
    let messages = if commit.common.quick { 500 } else { commit.messages };
    let (stage, mut devices, conversations) = cast(&[], commit.devices, rounds + 1).await?;
    let mut gathered = Rounds::default();
    for (round, conversations) in conversations.into_iter().enumerate() {
        let before = stage.metrics().await;
        let begin = Instant::now();
        devices = saturate(devices, conversations, messages, commit.in_flight).await?;
        let seconds = begin.elapsed().as_secs_f64();
        let after = stage.metrics().await;
        let grown = |name: &str| after[name] - before[name];
        let (syncs, entries) = (grown("lockstep_syncs_total"), grown("lockstep_entries_total"));
        let total = (messages * commit.devices) as f64;
        let floor = total / floor_seconds(stage.folder(), syncs as usize, entries as usize)?;
        if round > 0 {
            gathered.against("acks_a_second", total / seconds, floor);
            gathered.alone("messages_a_sync", entries / syncs);
        }
    }
    let settings = json!({ "devices": commit.devices, "messages": messages, "in_flight": commit.in_flight,
        "rounds": rounds, "body_bytes": BODY_BYTES, "floor_bytes_a_message": ENTRY_LOG_BYTES });
    let goals = [("acks_a_second", Bound::AtLeast(0.7)), ("messages_a_sync", Bound::AtLeast(16.0))];
    Ok(gathered.report("commit", Some("write + fdatasync"), settings, &goals))
}

/// A hub with these settings, devices, and for each round a conversation a device: their members see nothing else, so that
/// what is measured is judging and the disk, not fan-out.
pub(crate) async fn cast(
    settings: &[&str],
    devices: usize,
    rounds: usize,
) -> anyhow::Result<(QuietStage, Vec<Device>, Vec<Vec<ConversationId>>)> {
    let mut stage = Stage::new(settings).await?;
    let mut cast = Vec::new();
    for _ in 0..devices {
        cast.push(stage.agent_device().await?);
    }
    let mut conversations = Vec::new();
    for _ in 0..rounds {
        let mut own = Vec::new();
        for device in &cast {
            own.push(stage.conversation_of(&[device.author.member]).await?);
        }
        conversations.push(own);
    }
    Ok((stage.without_owner().await?, cast, conversations))
}

/// Each device writes so many messages into its conversation, one a push, with so many that wait for their Ack; answers the
/// devices once all are durable.
pub(crate) async fn saturate(
    devices: Vec<Device>,
    conversations: Vec<ConversationId>,
    messages: usize,
    in_flight_max: usize,
) -> anyhow::Result<Vec<Device>> {
    let write = |(mut device, conversation): (Device, ConversationId)| {
        tokio::spawn(tokio::time::timeout(PATIENCE, async move {
            let mut thread = device.author.thread(conversation)?;
            let (mut acknowledged, mut sent) = (0, 0);
            while acknowledged < messages {
                while sent < messages && sent - acknowledged < in_flight_max {
                    device.author.notes(&mut thread, vec!["x".repeat(BODY_BYTES)]).await?;
                    sent += 1;
                }
                acknowledged += device.reader.acknowledged().await?;
            }
            anyhow::Ok(device)
        }))
    };
    let tasks: Vec<_> = devices.into_iter().zip(conversations).map(write).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await???);
    }
    Ok(done)
}

/// So many writes of one group's bytes, each with a sync.
fn floor_seconds(folder: &Path, syncs: usize, entries: usize) -> anyhow::Result<f64> {
    let mut file = File::create(folder.join("floor"))?;
    let group = vec![b'x'; entries * ENTRY_LOG_BYTES / syncs.max(1)];
    let begin = Instant::now();
    for _ in 0..syncs {
        file.write_all(&group)?;
        file.sync_data()?;
    }
    Ok(begin.elapsed().as_secs_f64())
}
