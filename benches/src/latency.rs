//! `latency`: from the author's socket write to the last other device's socket read, durable in between.
//!
//! Open loop: messages leave at fixed times, and a message's time runs from when it was to leave. Ours goes through TLS,
//! WebSocket, the rules, RocksDB with one sync a group; the floor is `relay`. The hub and the relay are processes of
//! their own on one core, the load is another on the other.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use lockstep_protocol::frame::HubFrame;
use lockstep_protocol::id::{ActorId, ConversationId};
use serde_json::json;

use crate::device::{Device, Reader, facts, placed};
use crate::floor::Server;
use crate::floor::relay::HEADER_BYTES;
use crate::load::Load;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;
use crate::{Common, PATIENCE};

#[derive(Args)]
pub(crate) struct Latency {
    /// Devices, the authors among them
    #[arg(long, default_value_t = 4)]
    pub(crate) devices: usize,
    /// Devices that write, in turn; half of them from 100 devices on, else one
    #[arg(long)]
    writers: Option<usize>,
    /// Messages a round; one segment of each author holds them
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

/// Bytes of a body: a usual chat message.
const BODY_BYTES: usize = 80;

pub(crate) async fn measure(latency: &Latency) -> anyhow::Result<Report> {
    let rounds = if latency.common.quick { 3 } else { latency.rounds };
    let messages = if latency.common.quick { 100 } else { latency.messages };
    let (devices, rate) = (latency.devices.max(2), latency.rate.max(1));
    let writers = latency.writers.unwrap_or(if devices >= 100 { devices / 2 } else { 1 }).clamp(1, devices);
    let load = Load { messages, rate };
    let mut stage = Stage::new(&[]).await?;
    let mut all = Vec::new();
    for _ in 0..devices {
        all.push(stage.device().await?);
    }
    let mut conversations = Vec::new();
    for _ in 0..=rounds {
        conversations.push(stage.conversation().await?);
    }
    let file = stage.folder().join("relay");
    let hub = stage.without_owner().await?;
    let mut gathered = Rounds::default();
    for (round, conversation) in conversations.into_iter().enumerate() {
        let (p50, p99) = our_round(&mut all, writers, conversation, &load).await?;
        let (floor_p50, floor_p99) = tokio::task::block_in_place(|| relay_round(&file, devices, &load))?;
        // The first round warms up.
        if round > 0 {
            gathered.against("p50_ms", p50, floor_p50);
            gathered.against("p99_ms", p99, floor_p99);
        }
    }
    drop(hub);
    let settings = json!({ "devices": devices, "writers": writers, "messages": messages, "rate": rate, "rounds": rounds,
        "body_bytes": BODY_BYTES });
    let goals: &[_] = match devices {
        100.. => &[],
        _ => &[("p50_ms", Bound::AtMost(1.5)), ("p99_ms", Bound::AtMost(2.0))],
    };
    let report = gathered.report("latency", Some("relay"), settings, goals);
    Ok(if devices < 100 { report } else { report.own_goal("p99_ms", Bound::AtMost(200.0)) })
}

/// One round in a conversation of its own: every device must get every message of the others, once, in order.
async fn our_round(
    devices: &mut Vec<Device>,
    writers: usize,
    conversation: ConversationId,
    load: &Load,
) -> anyhow::Result<(f64, f64)> {
    let (mut authors, mut readers) = (Vec::new(), Vec::new());
    let mut numbers: BTreeMap<ActorId, usize> = BTreeMap::new();
    for (at, device) in devices.drain(..).enumerate() {
        let thread = device.author.thread(conversation)?;
        if at < writers {
            numbers.insert(thread.actor(), at);
        }
        authors.push((device.author, thread));
        readers.push(device.reader);
    }
    let expected = |at: usize| (0..load.messages).filter(|number| at < writers && number % writers == at).count();
    let readers: Vec<_> = readers
        .into_iter()
        .enumerate()
        .map(|(at, reader)| {
            let (numbers, own, messages) = (numbers.clone(), expected(at), load.messages);
            tokio::spawn(tokio::time::timeout(PATIENCE, arrivals(reader, numbers, writers, own, messages)))
        })
        .collect();
    let begin = Instant::now() + Duration::from_millis(50);
    let mut ticks = load.ticks(begin);
    while let Some(number) = ticks.recv().await {
        let (author, thread) = &mut authors[number % writers];
        author.notes(thread, vec!["x".repeat(BODY_BYTES)]).await?;
    }
    let mut last = vec![begin; load.messages];
    for ((author, _), reader) in authors.into_iter().zip(readers) {
        let (reader, arrived) = reader.await?.context("a message did not arrive")??;
        for (number, at) in arrived {
            last[number] = last[number].max(at);
        }
        devices.push(Device::of(author, reader));
    }
    Ok(load.percentiles(begin, &last))
}

/// Reads until all messages of the others have come, each author's in order, and all `own` ones are acknowledged;
/// answers when each came.
async fn arrivals(
    mut reader: Reader,
    numbers: BTreeMap<ActorId, usize>,
    writers: usize,
    own: usize,
    messages: usize,
) -> anyhow::Result<(Reader, Vec<(usize, Instant)>)> {
    let (mut arrived, mut acknowledged) = (Vec::with_capacity(messages), 0);
    let mut next: BTreeMap<ActorId, u32> = BTreeMap::new();
    while arrived.len() + acknowledged < messages || acknowledged < own {
        let frame = reader.next().await?;
        let now = Instant::now();
        if let HubFrame::Ack { results, .. } = &frame {
            acknowledged += placed(results)?;
        }
        for fact in facts(&frame)? {
            let Some(author) = numbers.get(&fact.actor) else { continue };
            let seq = next.entry(fact.actor).or_insert(1);
            anyhow::ensure!(fact.seq == *seq, "out of order");
            *seq += 1;
            arrived.push((author + (fact.seq as usize - 1) * writers, now));
        }
    }
    anyhow::ensure!(arrived.len() + acknowledged == messages, "too many messages");
    Ok((reader, arrived))
}

/// One round of the floor, with records of the size of a push and one author.
fn relay_round(file: &std::path::Path, devices: usize, load: &Load) -> anyhow::Result<(f64, f64)> {
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
    for number in 0..count {
        std::thread::sleep(load.due(begin, number).saturating_duration_since(Instant::now()));
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
