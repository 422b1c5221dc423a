//! `capacity`: the highest steady rate at which every device still gets every message within 200 ms: what SCALE.md
//! counts with.

use clap::Args;
use serde_json::json;

use crate::Common;
use crate::live::Room;
use crate::load::Load;
use crate::machine;
use crate::report::{Report, Rounds};
use crate::stage::Stage;

#[derive(Args)]
pub(crate) struct Capacity {
    /// Devices that see every conversation
    #[arg(long, default_value_t = 100)]
    devices: usize,
    /// Authors among them
    #[arg(long, default_value_t = 20)]
    writers: usize,
    /// How long each rate is held, seconds
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Later than this is too late, milliseconds.
const LATE_MS: f64 = 200.0;
/// The first rate; each next one is half as much again.
const RATE_MIN: u32 = 100;

pub(crate) async fn measure(capacity: &Capacity) -> anyhow::Result<Report> {
    let (devices, seconds) = if capacity.common.quick { (10, 2) } else { (capacity.devices, capacity.seconds) };
    let writers = capacity.writers.clamp(1, devices);
    let mut stage = Stage::new(&[]).await?;
    let mut authors = Vec::new();
    for _ in 0..devices {
        authors.push(stage.device().await?);
    }
    // A conversation an author and rate, so that nobody writes where another counts.
    let mut conversations = Vec::new();
    for _ in 0..writers * RATES {
        conversations.push(stage.conversation().await?);
    }
    let hub = stage.without_owner().await?;
    let mut room = Room { authors, readers: Vec::new() };
    let mut gathered = Rounds::default();
    let mut rate = RATE_MIN;
    let mut held = None;
    for conversations in conversations.chunks(writers) {
        let load = Load { messages: (rate * seconds) as usize, rate };
        let threads = room.authors.iter().zip(conversations);
        let mut threads = threads.map(|(device, id)| device.author.thread(*id)).collect::<anyhow::Result<Vec<_>>>()?;
        let before = machine::cpu_time(hub.process_id())?;
        let (begin, arrived) = room.round(&mut threads, load).await?;
        let cpu = (machine::cpu_time(hub.process_id())? - before).as_secs_f64();
        let (p50_ms, p99_ms) = load.percentiles(begin, &arrived);
        let took = arrived.iter().max().map_or(0.0, |last| last.duration_since(begin).as_secs_f64());
        eprintln!("  {rate} a second: p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, {:.0} % of a core", 100.0 * cpu / took);
        if p99_ms > LATE_MS {
            break;
        }
        held = Some((rate, cpu * 1e6 / load.messages as f64, p99_ms));
        rate += rate / 2;
    }
    let (rate, cpu_us, p99_ms) =
        held.ok_or_else(|| anyhow::anyhow!("not even {RATE_MIN} messages a second are held"))?;
    gathered.alone("messages_a_second", rate.into());
    gathered.alone("deliveries_a_second", f64::from(rate) * (devices - 1) as f64);
    gathered.alone("hub_cpu_us_a_message", cpu_us);
    gathered.alone("p99_ms", p99_ms);
    let settings = json!({ "devices": devices, "writers": writers, "seconds": seconds, "late_ms": LATE_MS });
    let report = gathered.report("capacity", None, settings, &[]);
    Ok(report.note("The load shares the machine: it has one core for all devices, and may end first."))
}

/// Rates that are tried at most.
const RATES: usize = 14;
