//! `latency`: from the author's socket write to the last other device's socket read, durable in between.
//!
//! Open loop: messages leave at fixed times, and a message's time runs from when it was to leave. Ours goes through TLS,
//! WebSocket, the rules, RocksDB with one sync a group; the floor is `relay`. The hub and the relay are processes of
//! their own, the load is another.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Args;
use lockstep_e2e::Hub;
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::frame::HubFrame;
use lockstep_protocol::id::ConversationId;
use lockstep_protocol::link::Link;
use serde::Serialize;

use crate::device::Device;
use crate::relay::HEADER_BYTES;
use crate::summary::{Figure, percentile_ms};

#[derive(Args)]
pub(crate) struct Latency {
    /// Devices, the author among them
    #[arg(long, default_value_t = 4)]
    devices: usize,
    /// Messages a round; one segment holds them
    #[arg(long, default_value_t = 300)]
    messages: usize,
    /// Messages a second
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Few and short rounds
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Bytes of a body: a usual chat message.
const BODY_BYTES: usize = 80;
/// A message that has not arrived by then makes the run invalid.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Report {
    name: &'static str,
    valid: bool,
    settings: Settings,
    ours: Percentiles,
    floor: Percentiles,
    ratio: Percentiles,
}

#[derive(Serialize)]
struct Settings {
    devices: usize,
    messages: usize,
    rate: u32,
    rounds: usize,
    body_bytes: usize,
}

/// Milliseconds, or ratios of them.
#[derive(Serialize)]
struct Percentiles {
    p50: Figure,
    p99: Figure,
}

impl Percentiles {
    fn over(rounds: &[(f64, f64)]) -> Self {
        let (p50, p99) = rounds.iter().copied().unzip();
        Self { p50: Figure::over(p50), p99: Figure::over(p99) }
    }
}

pub(crate) fn run(latency: &Latency) -> anyhow::Result<()> {
    let (rounds, messages) = if latency.quick { (3, 100) } else { (latency.rounds, latency.messages) };
    let (devices, rate) = (latency.devices.max(2), latency.rate.max(1));
    let settings = Settings { devices, messages, rate, rounds, body_bytes: BODY_BYTES };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let hub = Hub::create(&folder.path().join("hub"));
    let mut stage = runtime.block_on(Stage::set(&hub, devices))?;
    let (mut ours, mut floor, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let our_round = runtime.block_on(stage.round(&hub, &settings))?;
        let floor_round = relay_round(folder.path(), &settings)?;
        // The first round warms up.
        if round > 0 {
            ratio.push((our_round.0 / floor_round.0, our_round.1 / floor_round.1));
            ours.push(our_round);
            floor.push(floor_round);
        }
    }
    let percentiles = [&ours, &floor, &ratio].map(|rounds| Percentiles::over(rounds));
    let [ours, floor, ratio] = percentiles;
    // A round that lost, doubled or reordered a message has ended the run with an error.
    let report = Report { name: "latency", valid: true, settings, ours, floor, ratio };
    if latency.json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    println!("latency, {devices} devices, {rate} messages a second, {rounds} rounds of {messages}: ms, median (range)");
    for (name, figures) in [("ours ", &report.ours), ("relay", &report.floor), ("ratio", &report.ratio)] {
        println!("  {name}  p50 {}   p99 {}", figures.p50, figures.p99);
    }
    Ok(())
}

/// Devices of one hub: the first writes, the others read.
struct Stage {
    author: Device,
    readers: Vec<Device>,
}

impl Stage {
    async fn set(hub: &Hub, devices: usize) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for _ in 0..devices {
            let link: Link = hub.json(&["pair", "1"])["link"].as_str().context("a link")?.parse()?;
            all.push(Device::enrol(&link).await?);
        }
        let author = all.remove(0);
        Ok(Self { author, readers: all })
    }

    /// One round in a conversation of its own; its p50 and p99.
    async fn round(&mut self, hub: &Hub, settings: &Settings) -> anyhow::Result<(f64, f64)> {
        let opened = hub.json(&["conversation", "new", "Customer"]);
        let id = opened["id"].as_str().context("an id")?.to_owned();
        let byte = |at: usize| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).expect("hex");
        let conversation = ConversationId(std::array::from_fn(byte));
        let mut chain = self.author.chain(conversation)?;
        let count = settings.messages;
        let readers = self.readers.drain(..).map(|mut reader| {
            tokio::spawn(async move {
                let arrivals = tokio::time::timeout(PATIENCE, arrivals(&mut reader, conversation, count)).await;
                (reader, arrivals)
            })
        });
        let readers: Vec<_> = readers.collect();
        let begin = Instant::now() + Duration::from_millis(50);
        let due = |number: usize| begin + Duration::from_secs_f64(number as f64 / f64::from(settings.rate));
        for number in 0..count {
            tokio::time::sleep_until(due(number).into()).await;
            let at = SystemTime::now().duration_since(UNIX_EPOCH)?;
            let at_ms = u64::try_from(at.as_millis())?;
            self.author.note(&mut chain, at_ms, "x".repeat(BODY_BYTES)).await?;
        }
        tokio::time::timeout(PATIENCE, self.author.acknowledged(count)).await??;
        let mut last = vec![begin; count];
        for reader in readers {
            let (reader, arrived) = reader.await?;
            self.readers.push(reader);
            for (number, at) in arrived.context("a message did not arrive")??.into_iter().enumerate() {
                last[number] = last[number].max(at);
            }
        }
        let mut times: Vec<Duration> = last.iter().enumerate().map(|(number, at)| *at - due(number)).collect();
        Ok((percentile_ms(&mut times, 50), percentile_ms(&mut times, 99)))
    }
}

/// When each of `count` messages came, which must be all of them, once, in order.
async fn arrivals(device: &mut Device, conversation: ConversationId, count: usize) -> anyhow::Result<Vec<Instant>> {
    let mut arrived = Vec::with_capacity(count);
    while arrived.len() < count {
        let HubFrame::Entries(entries) = device.next().await? else { continue };
        let now = Instant::now();
        for bytes in entries.entries {
            let entry = Entry::from_bytes(&bytes.0).context("an entry")?;
            if let EntryBody::Fact(placed) = entry.body
                && placed.document.conversation == conversation
            {
                arrived.push(now);
                anyhow::ensure!(placed.seq as usize == arrived.len(), "out of order");
            }
        }
    }
    Ok(arrived)
}

/// One round of the floor, with records of the size of a push.
fn relay_round(folder: &std::path::Path, settings: &Settings) -> anyhow::Result<(f64, f64)> {
    let mut relay = Command::new(std::env::current_exe()?)
        .args(["relay", "--devices", &settings.devices.to_string(), "--file"])
        .arg(folder.join("relay"))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut address = String::new();
    BufReader::new(relay.stdout.take().context("a pipe")?).read_line(&mut address)?;
    let connect = || -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(address.trim())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    let mut author = connect()?;
    let count = settings.messages;
    let record = vec![b'x'; BODY_BYTES + 120];
    let record_bytes = record.len();
    let readers: Vec<_> = (1..settings.devices)
        .map(|_| {
            let mut stream = connect()?;
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
    let due = |number: usize| begin + Duration::from_secs_f64(number as f64 / f64::from(settings.rate));
    for number in 0..count {
        std::thread::sleep(due(number).saturating_duration_since(Instant::now()));
        author.write_all(&framed)?;
    }
    let mut last = vec![begin; count];
    for reader in readers {
        let arrived = reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))??;
        for (number, at) in arrived.into_iter().enumerate() {
            last[number] = last[number].max(at);
        }
    }
    drop(author);
    anyhow::ensure!(relay.wait()?.success(), "the relay failed");
    let mut times: Vec<Duration> = last.iter().enumerate().map(|(number, at)| *at - due(number)).collect();
    Ok((percentile_ms(&mut times, 50), percentile_ms(&mut times, 99)))
}
