//! `stall`: one device stops reading; what the others notice, and what the hub keeps for it.

use clap::Args;
use lockstep_protocol::limits;
use serde_json::json;

use crate::Common;
use crate::corpus::Corpus;
use crate::live::Room;
use crate::load::Load;
use crate::machine;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;

#[derive(Args)]
pub(crate) struct Stall {
    /// Devices that read
    #[arg(long, default_value_t = 4)]
    devices: usize,
    /// Messages a round
    #[arg(long, default_value_t = 1_000)]
    messages: usize,
    /// Messages a second
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Messages that the stalled device misses before the first round: far more than its queue
    #[arg(long, default_value_t = 100_000)]
    missed: usize,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) async fn measure(stall: &Stall) -> anyhow::Result<Report> {
    let quick = stall.common.quick;
    let rounds = if quick { 3 } else { stall.rounds };
    let load = Load { messages: if quick { 300 } else { stall.messages }, rate: stall.rate };
    // Small caches, so that what grows is what is kept for the device that does not read.
    let mut stage = Stage::new(&["store.cache_mib=4", "store.write_buffer_mib=8"]).await?;
    let filled = stage.conversation().await?;
    let baseline = stage.conversation().await?;
    let stalled = stage.conversation().await?;
    let mut readers = Vec::new();
    for _ in 0..stall.devices {
        readers.push(stage.device().await?.into_reader());
    }
    let mut conversations = Vec::new();
    for _ in 0..=2 * rounds {
        conversations.push(stage.conversation().await?);
    }
    let mut free = Vec::new();
    let mut room = Room { authors: vec![stage.device().await?], readers };
    let mut conversations = conversations.into_iter();
    // Filling once makes the hub's caches what they will be; filling again is the baseline of what grows.
    let missed = if quick { 20_000 } else { stall.missed };
    room.reading(stage.history(&[filled], missed, &mut Corpus::new(1))).await?;
    let hub = stage.hub.process_id();
    let before = machine::resident_bytes(hub)?;
    room.reading(stage.history(&[baseline], missed, &mut Corpus::new(2))).await?;
    let usual = machine::resident_bytes(hub)?.saturating_sub(before);
    for conversation in conversations.by_ref().take(rounds + 1) {
        let mut threads = [room.authors[0].author.thread(conversation)?];
        let (begin, arrived) = room.round(&mut threads, load).await?;
        free.push(load.percentiles(begin, &arrived));
    }
    let _silent = stage.device().await?.into_reader();
    let before = machine::resident_bytes(hub)?;
    room.reading(stage.history(&[stalled], missed, &mut Corpus::new(3))).await?;
    let grown = machine::resident_bytes(hub)?.saturating_sub(before).saturating_sub(usual);
    let mut gathered = Rounds::default();
    for ((p50, p99), conversation) in free.into_iter().skip(1).zip(conversations) {
        let mut threads = [room.authors[0].author.thread(conversation)?];
        let (begin, arrived) = room.round(&mut threads, load).await?;
        let (stalled_p50, stalled_p99) = load.percentiles(begin, &arrived);
        gathered.against("p50_ms", stalled_p50, p50);
        gathered.against("p99_ms", stalled_p99, p99);
    }
    gathered.alone("grown_mib", grown as f64 / (1024.0 * 1024.0));
    let settings = json!({ "devices": stall.devices, "messages": load.messages, "rate": load.rate,
        "missed": missed, "rounds": rounds });
    // One queue, and as much again in the socket's and TLS's own buffers.
    let bound_mib = (2 * limits::SESSION_QUEUE_BYTES_MAX / (1024 * 1024)) as f64;
    let goals = [("p99_ms", Bound::AtMost(1.1)), ("grown_mib", Bound::AtMost(bound_mib))];
    Ok(gathered.report("stall", Some("nobody stalls"), settings, &goals))
}
