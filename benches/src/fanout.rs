//! `fanout`: deliveries to many devices a CPU second of the server.
//!
//! One device writes at a fixed rate, all others read. Ours judges each message, makes it durable and sends it as one
//! shared frame to every session; the floor (`ready`) writes ready frames to sockets in one loop; the peer (`naive`) is
//! a task a connection behind a broadcast channel. All of them speak WebSocket over TLS.

use std::io::Write;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use futures_util::StreamExt;
use lockstep_e2e::raw;
use lockstep_protocol::frame::HubFrame;
use lockstep_protocol::id::ConversationId;
use serde_json::json;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::device::{Device, Reader, facts, placed};
use crate::floor::Server;
use crate::load::Load;
use crate::machine;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;
use crate::{Common, PATIENCE};

#[derive(Args)]
pub(crate) struct Fanout {
    /// Devices that read
    #[arg(long, default_value_t = 100)]
    devices: usize,
    /// Messages a round
    #[arg(long, default_value_t = 380)]
    messages: usize,
    /// Messages a second
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

const BODY_BYTES: usize = 80;

pub(crate) async fn measure(fanout: &Fanout) -> anyhow::Result<Report> {
    let rounds = if fanout.common.quick { 3 } else { fanout.rounds };
    let messages = if fanout.common.quick { 150 } else { fanout.messages };
    let mut stage = Stage::new(&[]).await?;
    let mut author = stage.device().await?;
    let mut readers = Vec::new();
    for _ in 0..fanout.devices {
        readers.push(stage.device().await?.into_reader());
    }
    let mut conversations = Vec::new();
    for _ in 0..=rounds {
        conversations.push(stage.conversation().await?);
    }
    let hub = stage.without_owner().await?;
    let load = Load { messages, rate: fanout.rate };
    let deliveries = (messages * fanout.devices) as f64;
    let mut gathered = Rounds::default();
    let mut frame_bytes = 0;
    for (round, conversation) in conversations.into_iter().enumerate() {
        let before = machine::cpu_time(hub.process_id())?;
        frame_bytes = our_round(&mut author, &mut readers, conversation, load).await?;
        let ours = deliveries / (machine::cpu_time(hub.process_id())? - before).as_secs_f64();
        let ready = floor_round("ready", fanout.devices, load, frame_bytes).await?;
        let naive = floor_round("naive", fanout.devices, load, frame_bytes).await?;
        if round > 0 {
            gathered.against("deliveries_a_cpu_second", ours, deliveries / ready);
            gathered.against("deliveries_a_cpu_second_to_naive", ours, deliveries / naive);
        }
    }
    let settings = json!({ "devices": fanout.devices, "messages": messages, "rate": fanout.rate, "rounds": rounds,
        "frame_bytes": frame_bytes });
    let goals =
        [("deliveries_a_cpu_second", Bound::AtLeast(0.8)), ("deliveries_a_cpu_second_to_naive", Bound::AtLeast(2.0))];
    let report = gathered.report("fanout", Some("ready frames / naive broadcast"), settings, &goals);
    Ok(report.note(
        "All three send over TLS. Ours includes receiving, judging and syncing each message; the other two only send.",
    ))
}

/// One round of ours; answers the bytes of a frame that arrived.
async fn our_round(
    author: &mut Device,
    readers: &mut Vec<Reader>,
    conversation: ConversationId,
    load: Load,
) -> anyhow::Result<usize> {
    let mut thread = author.author.thread(conversation)?;
    let messages = load.messages;
    let tasks: Vec<_> = readers
        .drain(..)
        .map(|mut reader| {
            tokio::spawn(tokio::time::timeout(PATIENCE, async move {
                let before = reader.bytes;
                let mut next = 1;
                while next <= messages {
                    for fact in facts(&reader.next().await?)? {
                        anyhow::ensure!(fact.seq as usize == next, "out of order");
                        next += 1;
                    }
                }
                let bytes = (reader.bytes - before) as usize / messages;
                Ok((reader, bytes))
            }))
        })
        .collect();
    let mut ticks = load.ticks(Instant::now());
    while ticks.recv().await.is_some() {
        author.author.notes(&mut thread, vec!["x".repeat(BODY_BYTES)]).await?;
    }
    let mut acknowledged = 0;
    while acknowledged < messages {
        if let HubFrame::Ack { results, .. } = author.reader.next().await? {
            acknowledged += placed(&results)?;
        }
    }
    let mut frame_bytes = 0;
    for task in tasks {
        let (reader, bytes) = task.await?.context("a message did not arrive")??;
        frame_bytes = bytes;
        readers.push(reader);
    }
    Ok(frame_bytes)
}

/// One round of a floor; answers its CPU time, seconds.
async fn floor_round(kind: &str, devices: usize, load: Load, frame_bytes: usize) -> anyhow::Result<f64> {
    let messages = load.messages;
    let server = Server::start(&["fanout-floor", "--kind", kind, "--devices", &devices.to_string()])?;
    let mut writer = server.connect()?;
    let mut tasks = Vec::new();
    for _ in 0..devices {
        let tls = raw::tls(&server.address).await;
        let mut socket = WebSocketStream::from_raw_socket(tls, Role::Client, None).await;
        tasks.push(tokio::spawn(tokio::time::timeout(PATIENCE, async move {
            for _ in 0..messages {
                let message = socket.next().await.context("the floor closed")??;
                anyhow::ensure!(message.len() == frame_bytes, "a frame of another size");
            }
            anyhow::Ok(socket)
        })));
    }
    let before = machine::cpu_time(server.process.id())?;
    let record = [&u32::try_from(frame_bytes)?.to_le_bytes()[..], &vec![b'x'; frame_bytes]].concat();
    let mut ticks = load.ticks(Instant::now());
    while ticks.recv().await.is_some() {
        writer.write_all(&record)?;
    }
    let mut sockets = Vec::new();
    for task in tasks {
        sockets.push(task.await?.context("a frame did not arrive")??);
    }
    Ok((machine::cpu_time(server.process.id())? - before).as_secs_f64())
}
