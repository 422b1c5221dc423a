//! `latency`: from the author's socket write to the last other device's socket read, durable in between.
//!
//! Ours goes through TLS, WebSocket, the rules, RocksDB with one sync a group; the floor is `relay`.

use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::Common;
use crate::device::Thread;
use crate::floor::Server;
use crate::floor::relay::HEADER_BYTES;
use crate::live::{BODY_BYTES, Room};
use crate::load::Load;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;

#[derive(Args)]
pub(crate) struct Latency {
    /// Devices, the authors among them
    #[arg(long, default_value_t = 4)]
    devices: usize,
    /// Devices that write, in turn; half of them from 100 devices on, else one
    #[arg(long)]
    writers: Option<usize>,
    /// Messages a round
    #[arg(long, default_value_t = 300)]
    messages: usize,
    /// Messages a second
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) async fn measure(latency: &Latency) -> anyhow::Result<Report> {
    let rounds = if latency.common.quick { 3 } else { latency.rounds };
    let messages = if latency.common.quick { 100 } else { latency.messages };
    let devices = latency.devices.max(2);
    let writers = latency.writers.unwrap_or(if devices >= 100 { devices / 2 } else { 1 }).clamp(1, devices);
    let load = Load { messages, rate: latency.rate };
    let mut stage = Stage::new(&[]).await?;
    let mut authors = Vec::new();
    for _ in 0..devices {
        authors.push(stage.device().await?);
    }
    let mut room = Room { authors, readers: Vec::new() };
    let mut conversations = Vec::new();
    for _ in 0..=rounds {
        conversations.push(stage.conversation().await?);
    }
    let file = stage.folder().join("relay");
    let _hub = stage.without_owner().await?;
    let mut gathered = Rounds::default();
    for (round, conversation) in conversations.into_iter().enumerate() {
        let threads = room.authors.iter().take(writers).map(|device| device.author.thread(conversation));
        let mut threads = threads.collect::<anyhow::Result<Vec<Thread>>>()?;
        let (begin, arrived) = room.round(&mut threads, load).await?;
        let (p50, p99) = load.percentiles(begin, &arrived);
        let (floor_p50, floor_p99) = tokio::task::block_in_place(|| relay_round(&file, devices, load))?;
        // The first round warms up.
        if round > 0 {
            gathered.against("p50_ms", p50, floor_p50);
            gathered.against("p99_ms", p99, floor_p99);
        }
    }
    let settings = json!({ "devices": devices, "writers": writers, "messages": messages, "rate": latency.rate,
        "rounds": rounds, "body_bytes": BODY_BYTES });
    if devices >= 100 {
        let report = gathered.report("latency", Some("relay with one writer"), settings, &[]);
        return Ok(report.own_goal("p99_ms", Bound::AtMost(200.0)));
    }
    let goals = [("p50_ms", Bound::AtMost(1.5)), ("p99_ms", Bound::AtMost(2.0))];
    Ok(gathered.report("latency", Some("relay"), settings, &goals))
}

/// One round of the floor, with records of the size of a push and one author.
pub(crate) fn relay_round(file: &Path, devices: usize, load: Load) -> anyhow::Result<(f64, f64)> {
    let relay = Server::start(&["relay", "--devices", &devices.to_string(), "--file", &file.to_string_lossy()])?;
    let mut author = relay.connect()?;
    let count = load.messages;
    let record = vec![b'x'; BODY_BYTES + 120];
    let record_bytes = record.len();
    let readers: Vec<_> = (1..devices)
        .map(|_| {
            let mut stream = relay.connect()?;
            Ok(std::thread::spawn(move || -> anyhow::Result<Vec<Instant>> {
                let mut framed = vec![0; HEADER_BYTES + record_bytes];
                (0..count)
                    .map(|_| {
                        stream.read_exact(&mut framed)?;
                        Ok(Instant::now())
                    })
                    .collect()
            }))
        })
        .collect::<anyhow::Result<_>>()?;
    let framed = [&u32::try_from(record_bytes)?.to_le_bytes()[..], &record].concat();
    let begin = Instant::now() + Duration::from_millis(50);
    let mut ticks = load.ticks(begin);
    while ticks.blocking_recv().is_some() {
        author.write_all(&framed)?;
    }
    let mut last = vec![begin; count];
    for reader in readers {
        let arrived = reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))??;
        for (number, at) in arrived.into_iter().enumerate() {
            last[number] = last[number].max(at);
        }
    }
    Ok(load.percentiles(begin, &last))
}
