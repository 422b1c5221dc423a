//! `fanout`: deliveries to many devices a CPU second of the server.
//!
//! One device writes, all others read: at a steady rate, where every message is a send of its own to each socket, and in
//! bursts, where whoever gathers what waits sends less often. Ours judges each message, makes it durable and sends it as one
//! shared frame to every session; the floor (`ready`) writes ready frames to sockets in one loop; the peer (`naive`) is
//! a task a connection behind a broadcast channel. All of them speak WebSocket over TLS.

use std::io::Write;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use futures_util::StreamExt;
use lockstep_e2e::raw;
use serde_json::json;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::floor::Server;
use crate::live::Room;
use crate::load::Load;
use crate::machine;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;
use crate::{Common, PATIENCE};

/// Messages a second of a burst: all of them at once.
const BURST_RATE: u32 = 50_000;

#[derive(Args)]
pub(crate) struct Fanout {
    /// Devices that read
    #[arg(long, default_value_t = 100)]
    devices: usize,
    /// Messages a round
    #[arg(long, default_value_t = 380)]
    messages: usize,
    /// Messages a second when they come steadily
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) async fn measure(fanout: &Fanout) -> anyhow::Result<Report> {
    let rounds = if fanout.common.quick { 3 } else { fanout.rounds };
    let messages = if fanout.common.quick { 150 } else { fanout.messages };
    let mut stage = Stage::new(&[]).await?;
    let authors = vec![stage.device().await?];
    let mut readers = Vec::new();
    for _ in 0..fanout.devices {
        readers.push(stage.device().await?.into_reader());
    }
    let mut conversations = Vec::new();
    for _ in 0..=rounds {
        conversations.push([stage.conversation().await?, stage.conversation().await?]);
    }
    let hub = stage.without_owner().await?;
    let deliveries = (messages * fanout.devices) as f64;
    let mut room = Room { authors, readers };
    let mut gathered = Rounds::default();
    let mut frame_bytes = 0;
    for (round, conversations) in conversations.into_iter().enumerate() {
        let kinds = [("steady", "steady_to_naive", fanout.rate), ("burst", "burst_to_naive", BURST_RATE)];
        for (conversation, (to_ready, to_naive, rate)) in conversations.into_iter().zip(kinds) {
            let load = Load { messages, rate };
            let mut threads = vec![room.authors[0].author.thread(conversation)?];
            let (before, bytes) = (machine::cpu_time(hub.process_id())?, room.readers[0].bytes);
            room.round(&mut threads, load).await?;
            let ours = deliveries / (machine::cpu_time(hub.process_id())? - before).as_secs_f64();
            if rate == fanout.rate {
                frame_bytes = (room.readers[0].bytes - bytes) as usize / messages;
            }
            let ready = floor_round("ready", fanout.devices, load, frame_bytes).await?;
            let naive = floor_round("naive", fanout.devices, load, frame_bytes).await?;
            if round > 0 {
                gathered.against(to_ready, ours, deliveries / ready);
                gathered.against(to_naive, ours, deliveries / naive);
            }
        }
    }
    let settings = json!({ "devices": fanout.devices, "messages": messages, "rate": fanout.rate,
        "burst_rate": BURST_RATE, "rounds": rounds, "frame_bytes": frame_bytes });
    let goals = [
        ("steady", Bound::AtLeast(0.8)),
        ("steady_to_naive", Bound::AtLeast(2.0)),
        ("burst", Bound::AtLeast(0.8)),
        ("burst_to_naive", Bound::AtLeast(2.0)),
    ];
    let report = gathered.report("fanout", Some("ready frames, naive broadcast"), settings, &goals);
    Ok(report.note(
        "Deliveries a CPU second of the server. All three send WebSocket frames over TLS. Ours includes receiving, \
         judging and syncing each message; the other two only send.",
    ))
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
